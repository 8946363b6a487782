"""From an engine's deltas to an answer: one JSON result, or a stream of events encoded once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from bindings.ai.answers import kept, sse
from bindings.ai.answers.encoders import Encoder, encoder_of
from bindings.ai.catalog.resolve import Served
from bindings.ai.engine.accumulator import Choice, Usage, index_of
from bindings.ai.engine.delta_stream import Sink
from bindings.ai.engine.protocol import Delta
from bindings.ai.errors import AiError
from bindings.ai.inputs.text import TextInput


class Steps(Protocol):
    """Deltas to iterate over, and to leave."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    def __anext__(self) -> Coroutine[Any, Any, Delta]: ...

    async def aclose(self) -> None: ...


class Deltas(Steps, Protocol):
    """What an engine's ``generate`` is, as far as it is used here."""

    def attach_sink(self, take: Sink) -> None: ...


Divert = Callable[[Callable[[bytes], bool]], None]
"""``divert(write)``: see ``Answering._divert``."""


@dataclass
class StreamStats:
    """What an answer has cost so far; ``first`` is seconds from the request to its first token."""

    model: str = ""
    first: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt: read before, for another request
    finish_reason: str | None = None
    started: float = field(default_factory=time.perf_counter, repr=False)

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
        self, events: AsyncGenerator[bytes, None], stats: StreamStats, attach_sink: Divert | None = None
    ) -> None:
        self._events, self.stats = events, stats
        self.aclose, self.attach_sink = events.aclose, attach_sink

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._events  # no layer of ours per token

    async def __anext__(self) -> bytes:
        return await self._events.__anext__()


@dataclass(frozen=True)
class RunAnswer:
    """``json`` or ``stream``, and the headers that go with it."""

    headers: dict[str, str]
    stats: StreamStats
    json: Any = None
    stream: TokenStream | None = None


@dataclass(frozen=True)
class ResponseBuilder:
    """One request on its way. ``refusal`` makes the contract's error of what broke a stream."""

    served: Served
    wanted: TextInput
    request_id: str
    stats: StreamStats
    refusal: Callable[[Exception, str], AiError]

    async def begin(self, deltas: Deltas, *, padding: bool, patient: bool = False) -> RunAnswer:
        """The whole result; or, for a stream, the answer as soon as the engine has taken the request.

        ``patient``: not before its first token, for somebody who tries again what fails until then.
        """
        form = encoder_of(self.wanted, self.served.model, padding=padding)
        bound = kept.binds(self.wanted.generate)
        steps: Steps = kept.checked(deltas, self.wanted.generate, self.wanted.choices) if bound else deltas
        if not self.wanted.stream:
            return RunAnswer(headers(self.served, self.request_id), self.stats, json=await self._whole(steps, form))
        events = self._events(steps, form, patient)
        await anext(events)  # begun: from here on, closing the events closes the deltas
        both = {**headers(self.served, self.request_id), **sse.HEADERS}
        attach_sink = None if bound else partial(self._attach_sink, deltas, form)
        return RunAnswer(both, self.stats, stream=TokenStream(events, self.stats, attach_sink))

    async def _whole(self, deltas: Steps, form: Encoder) -> dict[str, Any]:
        choices = [Choice() for _ in range(self.wanted.choices)]
        async with aclosing(deltas):
            async for delta in deltas:
                self.stats.count(delta)
                choices[index_of(delta)].add(delta)
        return form.whole(choices, self.stats.usage)

    async def _events(self, deltas: Steps, form: Encoder, patient: bool) -> AsyncGenerator[bytes, None]:
        """The events. The first item is empty: the answer begins."""
        count, text, rest = self.stats.count, form.text, form.rest
        async with aclosing(deltas):
            head = await anext(deltas, Delta("", 0))
            if patient and head.is_empty:
                head = await anext(deltas, head)
            count(head)
            yield b""
            try:
                if head.is_empty:
                    head = await anext(deltas, head)
                    count(head)
                if begun := form.begin() + rest(head):
                    yield begun
                async for delta in deltas:
                    count(delta)
                    if delta.extra is not None or delta.finish_reason is not None:
                        if events := rest(delta):
                            yield events
                    elif delta.text:  # none: a token that is only part of a character
                        yield text(delta.text)
                yield form.end(self.stats.usage)
            except Exception as error:
                refused = self.refusal(error, self.request_id)
                yield form.failure(refused.envelope(self.request_id), refused.status)

    def _attach_sink(self, deltas: Deltas, form: Encoder, write: Callable[[bytes], bool]) -> None:
        """Plain events go to ``write`` without waking the reader, until it says False; the same as in ``_events``."""
        stats, encode = self.stats, form.text

        def take(text: str, tokens: int) -> bool:
            if text and not write(encode(text)):
                return False
            stats.tokens += tokens
            return True

        deltas.attach_sink(take)


def headers(served: Served, request_id: str) -> dict[str, str]:
    """Of every answer. ``cf-ai-neurons`` is what the service bills; nothing is billed here."""
    found = {"cf-ai-req-id": request_id, "cf-ai-neurons": "0"}
    return {**found, "cf-ai-stand-in": served.answers} if served.stand_in else found


__all__ = ["ResponseBuilder", "RunAnswer", "StreamStats", "TokenStream", "headers"]
