"""From an engine's deltas to an answer: one JSON result, or a stream of events encoded once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec

from bindings.ai.answers import constraints, sse
from bindings.ai.answers.delta_iterator import DeltaIterator, EngineDeltas
from bindings.ai.answers.encoders import Encoder, encoder_of
from bindings.ai.catalog.resolve import Served
from bindings.ai.engine.protocol import Delta
from bindings.ai.engines.accumulator import Choice, Usage, index_of
from bindings.ai.errors import ModelError
from bindings.ai.inputs.text import TextRequest

AttachSink = Callable[[Callable[[bytes], bool]], None]
"""``attach_sink(write)``: see ``ResponseBuilder._attach_sink``."""


class StreamStats(msgspec.Struct):
    """What an answer has cost so far. Times are seconds: from the request to its first token, and the clock then."""

    model: str = ""
    first: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt: read before, for another request
    finish_reason: str | None = None
    started: float = msgspec.field(default_factory=time.perf_counter)

    def count(self, delta: Delta) -> None:
        if self.first is None and delta.tokens:
            self.first = time.perf_counter() - self.started
        self.tokens += delta.tokens
        self.prompt_tokens = delta.prompt_tokens
        self.finish_reason = delta.finish_reason
        if delta.extra is not None:
            self.cached_tokens = delta.extra.cached_tokens or self.cached_tokens

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.tokens, self.cached_tokens)


class TokenStream:
    """An answer as server-sent events. ``stats`` grows while it runs; ``aclose`` aborts the model."""

    def __init__(
        self, events: AsyncGenerator[bytes, None], stats: StreamStats, attach_sink: AttachSink | None = None
    ) -> None:
        self._events, self.stats = events, stats
        self.aclose, self.attach_sink = events.aclose, attach_sink

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._events  # no layer of ours per token

    async def __anext__(self) -> bytes:
        return await self._events.__anext__()


class RunAnswer(msgspec.Struct, frozen=True):
    """``json`` or ``stream``, and the headers that go with it."""

    headers: dict[str, str]
    stats: StreamStats
    json: Any = None
    stream: TokenStream | None = None


class ResponseBuilder(msgspec.Struct, frozen=True):
    """Makes one request's answer of its deltas. ``refusal`` makes Workers AI's error of what broke a stream."""

    served: Served
    request: TextRequest
    request_id: str
    stats: StreamStats
    refusal: Callable[[Exception, str], ModelError]

    async def begin(self, deltas: EngineDeltas, *, padding: bool, await_first_token: bool = False) -> RunAnswer:
        """The whole result; or, for a stream, its answer as soon as the engine has taken the request.

        ``await_first_token``: not before its first token; a gateway retries what fails until then.
        """
        encoder = encoder_of(self.request, self.served.model, padding=padding)
        common = headers(self.served, self.request_id)
        constrained = constraints.is_constrained(self.request.generate)
        checked: DeltaIterator = deltas
        if constrained:
            checked = constraints.checked(deltas, self.request.generate, self.request.choices)
        if not self.request.stream:
            return RunAnswer(common, self.stats, json=await self._result(checked, encoder))
        events = self._events(checked, encoder, await_first_token)
        await anext(events)  # begun: from here on, closing the events closes the deltas
        attach_sink = None if constrained else partial(self._attach_sink, deltas, encoder)
        stream = TokenStream(events, self.stats, attach_sink)
        return RunAnswer({**common, **sse.HEADERS}, self.stats, stream=stream)

    async def _result(self, deltas: DeltaIterator, encoder: Encoder) -> dict[str, Any]:
        choices = [Choice() for _ in range(self.request.choices)]
        async with aclosing(deltas):
            async for delta in deltas:
                self.stats.count(delta)
                choices[index_of(delta)].add(delta)
        return encoder.result(choices, self.stats.usage)

    async def _events(
        self, deltas: DeltaIterator, encoder: Encoder, await_first_token: bool
    ) -> AsyncGenerator[bytes, None]:
        """The stream's events. The first item is empty: the engine has taken the request."""
        count, encode_text, encode_delta = self.stats.count, encoder.encode_text, encoder.encode_delta
        items = aiter(deltas)  # the engine's own: no layers between
        async with aclosing(deltas):
            first = await anext(items, Delta("", 0))
            if await_first_token and first.is_empty:
                first = await anext(items, first)
            count(first)
            yield b""
            try:
                if first.is_empty:
                    first = await anext(items, first)
                    count(first)
                if begun := encoder.begin() + encode_delta(first):
                    yield begun
                async for delta in items:
                    count(delta)
                    if delta.extra is not None or delta.finish_reason is not None:
                        if events := encode_delta(delta):
                            yield events
                    elif delta.text:  # none: a token that is only part of a character
                        yield encode_text(delta.text)
                yield encoder.end(self.stats.usage)
            except Exception as error:
                refusal = self.refusal(error, self.request_id)
                yield encoder.failure(refusal.envelope(self.request_id), refusal.status)

    def _attach_sink(self, deltas: EngineDeltas, encoder: Encoder, write: Callable[[bytes], bool]) -> None:
        """Plain text is encoded and given to ``write`` without waking ``_events``, until that returns False."""
        stats, encode_text = self.stats, encoder.encode_text

        def take(text: str, tokens: int) -> bool:
            if text and not write(encode_text(text)):
                return False
            stats.tokens += tokens
            return True

        deltas.attach_sink(take)


def headers(served: Served, request_id: str) -> dict[str, str]:
    """The headers of every answer. ``cf-ai-neurons`` is what the service bills; nothing is billed here."""
    common = {"cf-ai-req-id": request_id, "cf-ai-neurons": "0"}
    return {**common, "cf-ai-stand-in": served.answers} if served.stand_in else common


__all__ = ["ResponseBuilder", "RunAnswer", "StreamStats", "TokenStream", "headers"]
