"""An answer as server-sent events: of a model's deltas, encoded once, or of whatever makes events.

A ``ModelStream`` has two ways out. Whoever reads it iterates, in a task. Where its client's socket takes what there is,
nobody needs to: it may be left to ``flow``, and each delta is encoded and written in the moment in which it comes. What
the socket does not take then is for a reader, who goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, Protocol

import msgspec

from bindings.ai.answers.encoders import Encoder
from bindings.ai.engine.delta_stream import Sink
from bindings.ai.engine.deltas import DeltaIterator, from_wire
from bindings.ai.engine.protocol import Delta
from bindings.ai.engines.accumulator import Usage
from bindings.ai.errors import ModelError

Refusal = Callable[[Exception, str], ModelError]


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
    """Events that are there, or that somebody makes. ``stats`` grows while it runs; ``aclose`` aborts the model."""

    def __init__(self, events: AsyncGenerator[bytes, None], stats: StreamStats) -> None:
        self._events, self.stats = events, stats
        self.aclose = events.aclose

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._events  # no layer of ours per token

    async def __anext__(self) -> bytes:
        return await self._events.__anext__()


class EngineDeltas(DeltaIterator, Protocol):
    """What an engine's ``generate`` returns, as far as it is used here. ``finish`` and ``drop``: its flow has ended, or
    is not wanted any more."""

    def attach_sink(self, take: Sink) -> None: ...

    @property
    def flows(self) -> bool: ...

    def flow(self, take: Callable[[list[Any]], bool], ended: Callable[[], None], held: Callable[[], None]) -> None: ...

    def hold(self) -> None: ...

    def finish(self) -> None: ...

    def drop(self) -> None: ...


class ModelStream:
    """``engine``: whose ``deltas`` these are, unless somebody looks at them on the way. ``refusal`` makes Workers AI's
    error of what broke the stream."""

    __slots__ = ("_deltas", "_encoder", "_ends", "_engine", "_events", "_first", "_id", "_refusal", "_write", "stats")

    def __init__(
        self, deltas: DeltaIterator, engine: EngineDeltas | None, encoder: Encoder, stats: StreamStats,
        refusal: Refusal, request_id: str,
    ) -> None:  # fmt: skip
        self._deltas, self._engine, self._encoder, self.stats = deltas, engine, encoder, stats
        self._refusal, self._id = refusal, request_id
        self._first: Delta | None = None  # until something of the answer is said
        self._events: AsyncGenerator[bytes, None] | None = None  # of its reader
        self._write: Callable[[bytes], bool] | None = None  # past its reader, or without one
        self._ends: tuple[Callable[[], None], Callable[[], None]] | None = None  # ended, held: while it flows

    async def begin(self, await_first_token: bool) -> None:
        """The engine has taken the request, or the first token is there. Raises whatever refuses it."""
        items = aiter(self._deltas)
        try:
            first = await anext(items, Delta("", 0))
            if await_first_token and first.is_empty:
                first = await anext(items, first)
        except BaseException:
            await self._deltas.aclose()
            raise
        self.stats.count(first)
        self._first = first

    # With a reader

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        if self._events is None:
            self._events = self._read()
        return self._events

    async def __anext__(self) -> bytes:
        return await aiter(self).__anext__()

    async def aclose(self) -> None:
        if self._events is None:
            self._events = self._read(closing=True)
            await anext(self._events)  # begun: closing the events closes the deltas
        await self._events.aclose()

    def attach_sink(self, write: Callable[[bytes], bool]) -> None:
        """Plain text is encoded and given to ``write`` without waking the reader, until that returns False."""
        if self._engine is not None:
            self._write = write
            self._engine.attach_sink(self._take_plain)

    async def _read(self, closing: bool = False) -> AsyncGenerator[bytes, None]:
        """The events; ``closing``: an empty one first."""
        count, encoder, items = self.stats.count, self._encoder, aiter(self._deltas)  # no layers between
        async with aclosing(self._deltas):
            if closing:
                yield b""
            try:
                if (first := self._first) is not None:
                    if first.is_empty:
                        first = await anext(items, first)
                        count(first)
                    if begun := self._opening(first):
                        yield begun
                async for delta in items:
                    count(delta)
                    if delta.extra is not None or delta.finish_reason is not None:
                        if events := encoder.encode_delta(delta):
                            yield events
                    elif delta.text:  # none: a token that is only part of a character
                        yield encoder.encode_text(delta.text)
                yield encoder.end(self.stats.usage)
            except Exception as error:
                refusal = self._refusal(error, self._id)
                yield encoder.failure(refusal.envelope(self._id), refusal.status)

    def _opening(self, delta: Delta) -> bytes:
        self._first = None
        return self._encoder.begin() + self._encoder.encode_delta(delta)

    def _take_plain(self, item: list[Any]) -> bool:
        text, tokens, _, finish_reason, extra = item
        if finish_reason is not None or extra is not None:
            return False
        if text and not self._write(self._encoder.encode_text(text)):  # type: ignore[misc]  # one layer per token
            return False
        self.stats.tokens += tokens
        return True

    # Without one: runtime.wire.Flowing

    @property
    def flows(self) -> bool:
        return self._engine is not None and self._events is None and self._engine.flows

    def flow(self, take: Callable[[bytes], bool], ended: Callable[[], None], held: Callable[[], None]) -> None:
        assert self._engine is not None
        self._write, self._ends = take, (ended, held)
        if self._first is not None and not self._first.is_empty:
            if not take(b""):
                return self._hold()
            take(self._opening(self._first))
        self._engine.flow(self._take, self._end, self._hold)

    def hold(self) -> None:
        assert self._engine is not None
        self._engine.hold()

    def drop(self) -> None:
        assert self._engine is not None
        self._write = self._ends = None
        self._engine.drop()

    def _take(self, item: list[Any]) -> bool:
        text, tokens, _, finish_reason, extra = item
        if finish_reason is not None or extra is not None or self._first is not None:
            return self._take_any(from_wire(item))
        if text and not self._write(self._encoder.encode_text(text)):  # type: ignore[misc]  # as _take_plain, at hand
            return False
        self.stats.tokens += tokens
        return True

    def _take_any(self, delta: Delta) -> bool:
        """What an encoder is told once only is encoded once it can be written. A failure is the reader's to tell of."""
        assert self._write is not None
        if not self._write(b""):
            return False
        with suppress(Exception):
            self._write(self._encoder.encode_delta(delta) if self._first is None else self._opening(delta))
            self.stats.count(delta)
            return True
        return False

    def _end(self) -> None:
        assert self._ends is not None
        assert self._engine is not None
        if not self._says_last():
            return self._hold()
        self._engine.finish()
        (ended, _), self._ends, self._write = self._ends, None, None
        ended()

    def _says_last(self) -> bool:
        assert self._write is not None
        with suppress(Exception):
            begun = b"" if self._first is None else self._opening(self._first)
            return self._write(begun + self._encoder.end(self.stats.usage))
        return False

    def _hold(self) -> None:
        assert self._ends is not None
        (_, held), self._ends, self._write = self._ends, None, None
        held()


__all__ = ["EngineDeltas", "ModelStream", "Refusal", "StreamStats", "TokenStream"]
