"""One stream of plain text that ``StepRouter`` answers: from what a step of the model says to deltas in a feed."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from bindings.ai.engine.deltas import joined
from bindings.ai.engine.protocol import Delta, EngineError
from bindings.ai.engines.vllm.errors import gave_up
from bindings.ai.engines.vllm.interfaces import EngineCoreOutput
from bindings.ai.engines.vllm.streams.text import TableDetokenizer
from runtime.wire import PushSource


class StreamOwner(Protocol):
    """Who hands a stream its steps: ``StepRouter``."""

    streams: dict[str, Stream]

    @property
    def translate(self) -> Callable[[Exception], Exception]: ...

    def abort(self, stream: Stream) -> None: ...


class Stream:
    """One request that its ``owner`` answers. ``whole``: its first token is told, and then all others at once."""

    __slots__ = ("_begun", "_held", "_owner", "_task", "_whole", "feed", "id", "prompt_tokens", "text")

    text: TableDetokenizer

    def __init__(self, owner: StreamOwner, *, whole: bool = False) -> None:
        self._owner, self.id, self.prompt_tokens, self._begun = owner, "", 0, False
        self._whole, self._held = whole, list[int]()
        self._task: asyncio.Task[None] | None = None
        self.feed = PushSource(joined, self._left)

    def begin(self, admission: Coroutine[Any, Any, None]) -> PushSource:
        """``admission`` ends in ``StepRouter.add``; what it raises is the stream's end."""
        self._task = asyncio.get_running_loop().create_task(self._admit(admission))
        return self.feed

    def step(self, output: EngineCoreOutput) -> None:
        """What one step of the model has added."""
        ids, reason = output.new_token_ids, output.finish_reason
        if reason is None:
            if self._whole and self._begun:
                return self._held.extend(ids)
            self._begun = True
            text = self.text.add(ids[0]) if len(ids) == 1 else self._decoded(ids)
            return self.feed.put(Delta(text, len(ids), self.prompt_tokens))
        del self._owner.streams[self.id]
        finish_reason = str(reason)
        if finish_reason in ("abort", "error"):
            return self.fail(gave_up(finish_reason))
        ids = [*self._held, *ids]
        shown = ids[:-1] if finish_reason == "stop" else ids  # the token that says so is not text
        self.feed.put(Delta(self._decoded(shown), len(ids), self.prompt_tokens, finish_reason))
        self.feed.end()

    def taken(self) -> None:
        """The model has the request: an empty delta says so, if it has said nothing itself."""
        if not self._begun:
            self.feed.put(Delta("", 0, self.prompt_tokens))

    def fail(self, error: Exception) -> None:
        self._begun = True
        translation = self._owner.translate(error)
        if not isinstance(translation, EngineError):
            traceback.print_exception(error)
        self.feed.end(translation)

    def _decoded(self, ids: list[int]) -> str:
        return "".join(map(self.text.add, ids))

    async def _admit(self, admission: Coroutine[Any, Any, None]) -> None:
        try:
            await admission
        except Exception as error:
            self._owner.abort(self)
            self.fail(error)

    def _left(self) -> None:
        self._begun = True
        if self._task is not None:
            self._task.cancel()
        self._owner.abort(self)


__all__ = ["Stream", "StreamOwner"]
