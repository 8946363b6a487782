"""From an engine's deltas to an answer: one JSON result, or a stream of events encoded once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bindings.ai import sse
from bindings.ai.catalog import Served
from bindings.ai.engine import Delta
from bindings.ai.errors import AiError
from bindings.ai.shapes import TextInput, text_result, usage

Deltas = AsyncGenerator[Delta, None]


@dataclass
class StreamStats:
    """What an answer has cost so far; ``first`` is seconds from the request to its first token."""

    model: str = ""
    first: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    finish_reason: str | None = None
    started: float = field(default_factory=time.perf_counter, repr=False)

    def count(self, delta: Delta) -> None:
        if self.first is None:
            self.first = time.perf_counter() - self.started
        self.tokens += delta.tokens
        self.prompt_tokens = delta.prompt_tokens
        self.finish_reason = delta.finish_reason


class TokenStream:
    """An answer as server-sent events. ``stats`` grows while it runs; ``aclose`` aborts the model."""

    def __init__(self, events: AsyncGenerator[bytes, None], stats: StreamStats) -> None:
        self._events, self.stats = events, stats
        self.aclose = events.aclose

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._events  # no layer of ours per token

    async def __anext__(self) -> bytes:
        return await self._events.__anext__()


@dataclass(frozen=True)
class RunAnswer:
    """``json`` or ``stream``, and the headers that go with it."""

    headers: dict[str, str]
    stats: StreamStats
    json: dict[str, Any] | None = None
    stream: TokenStream | None = None


@dataclass(frozen=True)
class Answering:
    """One request on its way. ``refusal`` makes the contract's error of what broke a stream."""

    served: Served
    wanted: TextInput
    request_id: str
    stats: StreamStats
    refusal: Callable[[Exception, str], AiError]

    async def begin(self, deltas: Deltas, *, padding: bool) -> RunAnswer:
        """The whole result; or, for a stream, the answer as soon as the engine has made its first delta."""
        if not self.wanted.stream:
            return RunAnswer(self._headers(), self.stats, json=await self._whole(deltas))
        events = self._events(deltas, sse.padded_token if padding else sse.token)
        await anext(events)  # begun: from here on, closing the events closes the deltas
        headers = {**self._headers(), **sse.HEADERS}
        return RunAnswer(headers, self.stats, stream=TokenStream(events, self.stats))

    async def _whole(self, deltas: Deltas) -> dict[str, Any]:
        texts = []
        async with aclosing(deltas):
            async for delta in deltas:
                self.stats.count(delta)
                texts.append(delta.text)
        return text_result("".join(texts), self.stats.prompt_tokens, self.stats.tokens)

    async def _events(self, deltas: Deltas, encode: Callable[[str], bytes]) -> AsyncGenerator[bytes, None]:
        """The events. The first item is empty: the engine has taken the request and made its first delta."""
        count = self.stats.count
        async with aclosing(deltas):
            head = await anext(deltas, Delta("", 0))
            count(head)
            yield b""
            try:
                if head.text:
                    yield encode(head.text)
                async for delta in deltas:
                    count(delta)
                    if delta.text:  # none: a token that is only part of a character
                        yield encode(delta.text)
                yield sse.last(usage(self.stats.prompt_tokens, self.stats.tokens))
            except Exception as error:
                yield sse.failure(self.refusal(error, self.request_id).envelope(self.request_id))

    def _headers(self) -> dict[str, str]:
        """``cf-ai-neurons`` is what the service bills; nothing is billed here."""
        headers = {"cf-ai-req-id": self.request_id, "cf-ai-neurons": "0"}
        if self.served.stand_in:
            headers["cf-ai-stand-in"] = self.served.answers
        return headers


__all__ = ["Answering", "RunAnswer", "StreamStats", "TokenStream"]
