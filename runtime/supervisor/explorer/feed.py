"""What happens, for whoever looks: the newest requests and log lines, kept in memory and told as server-sent events.

Lines are kept from the start, requests from the first look on: until then they cost nothing (5 µs of processor each,
where they were kept). A reader is told of batches, ten a second at most, from the number it has seen: one that is slow
misses the oldest, and its page sees that by the numbers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import msgspec

from runtime.supervisor.observe.base import RequestRecord

KEPT = 500  # events
_LINGERS_S = 300.0  # seconds after the last reader in which things are still kept for the next
MAX_TEXT = 4_096  # characters of a line
OWN = ("/__pilot/", "/client/v4/accounts/explorer/")  # looking at requests is none of them
_LIFETIME_S = 3600.0  # seconds of one stream, whose token may have been revoked meanwhile
_PAUSE_S = 0.1  # seconds between two batches
_ALIVE_S = 15.0  # seconds of silence after which a comment is sent: who has left is noticed by it


class Line(msgspec.Struct, frozen=True):
    """A line that a worker printed, or that the supervisor says."""

    level: str  # log, or of the supervisor's: info, warning, error
    text: str
    worker: str | None = None


class Span(msgspec.Struct):
    """``start``, ``ms``: milliseconds, from the trace's beginning; ``parent``: its number in the trace."""

    name: str
    kind: str
    parent: int | None
    start: float
    ms: float | None = None  # it goes on
    failed: str | None = None
    facts: dict[str, Any] = {}


class Trace(msgspec.Struct):
    """What one request or event has caused. ``left``: spans that found no place."""

    name: str
    spans: list[Span]
    left: int = 0


What = RequestRecord | Line | Trace
Happening = tuple[int, float, What]  # number, seconds since 1970, what


class Feed:
    """``id``: of this life of the server. A reader that comes back with it and a number goes on from there."""

    def __init__(self, kept: int = KEPT) -> None:
        self.id = secrets.token_hex(4)
        self._happened: deque[Happening] = deque(maxlen=kept)
        self.wanted = False  # somebody reads, or did a while ago
        self._numbers = count(1)
        self._readers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._closed = self.looked_at = False

    @property
    def watched(self) -> bool:
        return bool(self._readers)

    def request(self, record: RequestRecord) -> None:
        if self.looked_at and not record.path.startswith(OWN):
            self.add(record)

    def line(self, level: str, text: str, worker: str | None = None) -> None:
        self.add(Line(level, text[:MAX_TEXT], worker))

    def trace(self, trace: Trace) -> None:
        self.add(trace)

    def close(self) -> None:
        """No more: every stream ends, so that none keeps the server from ending."""
        self._closed = True
        self._wake()

    async def stream(self, since: int = 0) -> AsyncIterator[bytes]:
        """The events after number ``since``, in JSON arrays, one per server-sent event, until it is closed."""
        more, end = asyncio.Event(), time.monotonic() + _LIFETIME_S
        self._readers[more], self.looked_at, self.wanted = asyncio.get_running_loop(), True, True
        try:
            yield b": pilot\n\n"
            while not self._closed and time.monotonic() < end:
                more.clear()
                if fresh := [one for one in tuple(self._happened) if one[0] > since]:
                    since = fresh[-1][0]
                    yield b"data: " + msgspec.json.encode([_shown(*one) for one in fresh], enc_hook=str) + b"\n\n"
                    await asyncio.sleep(_PAUSE_S)
                elif not await _came(more):
                    yield b": still here\n\n"
        finally:
            del self._readers[more]
            asyncio.get_running_loop().call_later(_LINGERS_S, self._lingered)

    def _lingered(self) -> None:
        self.wanted = bool(self._readers)

    def add(self, what: What) -> None:
        self._happened.append((next(self._numbers), time.time(), what))
        if self._readers:
            self._wake()

    def _wake(self) -> None:
        """A worker without a process of its own may print from any thread."""
        for more, loop in tuple(self._readers.items()):
            if not more.is_set():
                loop.call_soon_threadsafe(more.set)


class FarFeed(Feed):
    """Of a server whose events are looked at elsewhere: ``tell(kind, fields)`` while they are."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        super().__init__()
        self._tell = tell

    @property
    def watched(self) -> bool:
        return self.wanted

    def look(self, wanted: bool) -> None:
        """From now on somebody looks, or nobody."""
        self.wanted = self.looked_at = wanted

    def add(self, what: What) -> None:
        if self.wanted:
            self._tell(type(what).__name__, msgspec.to_builtins(what, enc_hook=str))


def told(kind: str, fields: Any) -> What:
    """What a ``FarFeed`` has told."""
    kinds: dict[str, type[What]] = {one.__name__: one for one in (RequestRecord, Line, Trace)}
    return msgspec.convert(fields, kinds[kind])


async def _came(more: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(more.wait(), _ALIVE_S)
    except TimeoutError:
        return False
    return True


def _shown(number: int, at: float, what: What) -> dict[str, object]:
    facts = msgspec.structs.asdict(what)
    kind = "request" if isinstance(what, RequestRecord) else type(what).__name__.lower()
    fields = {name: _text(value) for name, value in facts.items() if value is not None}
    return {"number": number, "at": round(at * 1000), "kind": kind, **fields}


def _text(value: object) -> object:
    """Half a character, which a print may have and JSON may not, is replaced."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


__all__ = ["FarFeed", "Feed", "Line", "Span", "Trace", "What", "told"]
