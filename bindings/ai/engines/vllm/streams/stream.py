"""One stream of plain text that ``vllm_steps`` answers: from what a step of the model says to deltas in a feed."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bindings.ai.engine.deltas import joined
from bindings.ai.engine.protocol import Delta, EngineError
from bindings.ai.engines.vllm.streams.text import Text
from bindings.ai.error_table import INTERNAL
from runtime.wire import PushSource

if TYPE_CHECKING:
    from bindings.ai.engines.vllm.streams.steps import Steps


class Stream:
    """One request that ``Steps`` answers."""

    __slots__ = ("_begun", "_steps", "_task", "feed", "id", "prompt_tokens", "text")

    text: Text

    def __init__(self, steps: Steps) -> None:
        self._steps, self.id, self.prompt_tokens, self._begun = steps, "", 0, False
        self._task: asyncio.Task[None] | None = None
        self.feed = PushSource(joined, self._left)

    def begin(self, admission: Coroutine[Any, Any, None]) -> PushSource:
        """``admission`` ends in ``Steps.add``; what it raises is the stream's end."""
        self._task = asyncio.get_running_loop().create_task(self._admit(admission))
        return self.feed

    def step(self, output: Any) -> None:
        """What one step of the model has added."""
        ids, reason = output.new_token_ids, output.finish_reason
        self._begun = True
        if reason is None:
            text = self.text.add(ids[0]) if len(ids) == 1 else self._said(ids)
            return self.feed.put(Delta(text, len(ids), self.prompt_tokens))
        del self._steps.streams[self.id]
        told = str(reason)
        if told in ("abort", "error"):
            return self.fail(gave_up(told))
        shown = ids[:-1] if told == "stop" else ids  # the token that says so is not text
        self.feed.put(Delta(self._said(shown), len(ids), self.prompt_tokens, told))
        self.feed.end()

    def taken(self) -> None:
        """The model has the request: an empty delta says so, if it has said nothing itself."""
        if not self._begun:
            self.feed.put(Delta("", 0, self.prompt_tokens))

    def fail(self, error: Exception) -> None:
        self._begun = True
        told = self._steps.told(error)
        if not isinstance(told, EngineError):
            traceback.print_exception(error)
        self.feed.end(told)

    def _said(self, ids: list[int]) -> str:
        return "".join(map(self.text.add, ids))

    async def _admit(self, admission: Coroutine[Any, Any, None]) -> None:
        try:
            await admission
        except Exception as error:
            self._steps.abort(self)
            self.fail(error)

    def _left(self) -> None:
        self._begun = True
        if self._task is not None:
            self._task.cancel()
        self._steps.abort(self)


def gave_up(reason: str) -> EngineError:
    """vLLM's own end of a request that nobody here asked for."""
    return EngineError(INTERNAL, f"The model gave the request up: {reason}")


__all__ = ["Stream", "gave_up"]
