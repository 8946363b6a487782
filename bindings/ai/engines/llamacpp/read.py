"""llama.cpp's chunks as deltas, and how they come out of its threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from bindings.ai.engine.protocol import Delta, EngineError, Extra
from bindings.ai.engines.thoughts import ReasoningSplitter
from bindings.ai.engines.tool_calls import ToolCallReader
from bindings.ai.error_table import ENGINE_REFUSED


class RunningCompletion:
    """One request inside llama.cpp. Setting ``left`` ends it at the next call back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.left = loop, False
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def arrived(self, chunk: dict[str, Any]) -> bool:
        """Called in llama.cpp's thread."""
        if not self.left:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, chunk)
        return self.left

    async def chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        while isinstance(chunk := await self.queue.get(), dict):
            if "error" in chunk:
                raise refusal(chunk["error"])
            yield chunk
        if chunk is not None:
            raise chunk


class ChunkReader:
    """One answer. ``logprobs``: how many alternatives to tell; ``calls``, ``thoughts``: who parts the text."""

    def __init__(
        self,
        index: int,
        prompt_tokens: int,
        logprobs: int | None = None,
        calls: ToolCallReader | None = None,
        thoughts: ReasoningSplitter | None = None,
    ) -> None:
        self._index, self._prompt_tokens, self._logprobs = index, prompt_tokens, logprobs
        self._calls, self._thoughts = calls, thoughts
        self._seen, self._called = 0, False

    def read(self, chunk: dict[str, Any]) -> Delta | None:
        """``timings.predicted_n`` counts the tokens so far, those held back for half a character too."""
        choice, total = chunk["choices"][0], chunk["timings"]["predicted_n"]
        text, reason = choice["text"], choice["finish_reason"]
        if not text and not reason:
            return None
        tokens, self._seen = total - self._seen, total
        text, more = self._parted(text, reason)
        if self._index:
            more["index"] = self._index
        if self._logprobs is not None and choice.get("logprobs"):
            more["logprobs"] = [_logprobs_of(one, self._logprobs) for one in choice["logprobs"]["content"]]
        reason = "tool_calls" if reason == "stop" and self._called else reason
        return Delta(text, tokens, self._prompt_tokens, reason, Extra(**more) if more else None)

    def _parted(self, text: str, reason: str | None) -> tuple[str, dict[str, Any]]:
        """(what is said, the fields of an Extra)."""
        more, last = dict[str, Any](), reason is not None
        if self._thoughts is not None:
            text, thought = self._thoughts.read(text, last=last)
            more = {"reasoning": thought} if thought else {}
        if self._calls is not None:
            text, calls = self._calls.read(text, last=last, cut=reason == "length")
            if calls:
                self._called, more["tool_calls"] = True, calls
        return text, more


def _logprobs_of(one: dict[str, Any], count: int) -> dict[str, Any]:
    return {**_token(one), "top_logprobs": [_token(other) for other in one["top_logprobs"][:count]]}


def _token(one: dict[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("token", "logprob", "bytes")}


def refusal(error: dict[str, Any]) -> EngineError:
    return EngineError(ENGINE_REFUSED, str(error.get("message", error)))


__all__ = ["ChunkReader", "RunningCompletion", "refusal"]
