"""What one worker may use. A host has defaults; a version may ask for less, or for more within the host's bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec

from runtime.errors import ScriptError
from runtime.wire import RemoteStream

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults of a host. ``cpu_ms`` and ``subrequests`` are Cloudflare's names."""

    cpu_ms: Positive = 30_000  # of one request, with its tasks and threads
    subrequests: Positive = 1_000  # calls of bindings and fetches, of one request and its waitUntil
    wall_s: Positive = 3_600  # from a request's head to its answer's last byte
    event_wall_s: Positive = 900  # of a cron's run, a queue's batch and whatever else is no request; in dev too
    concurrent: Positive = 1_000  # requests in one version
    response_bytes: Positive = 1 << 30  # that the worker itself makes; what passes through it does not count
    memory_mb: Positive = 2_048  # of one isolate; from 80 % on it is replaced, beyond it is killed
    threads: Positive = 512  # of one isolate; beyond it is killed
    temp_mb: Positive = 1_024  # in the temporary folder of one isolate; beyond it is killed
    stall_s: Positive = 10  # seconds without a heartbeat until an isolate is killed
    sockets: Positive = 32_768  # WebSockets and TCP connections of one worker, all its versions together
    socket_queue_mb: Positive = 64  # that wait for one client that does not read; beyond it loses its socket
    sockets_queue_mb: Positive = 256  # that wait for all of one worker's clients, and of messages half come


class LimitExceeded(ScriptError):
    """A limit, with the number a client is told (Cloudflare's where it has one)."""

    def __init__(self, code: int, what: str) -> None:
        self.code = code
        super().__init__(f"error {code}: {what}")


class IsolateLost(ScriptError):
    """The process that served the request is gone; another takes its place."""


def cpu_exceeded(limit: int) -> LimitExceeded:
    return LimitExceeded(1102, f"a request used more than {limit} ms of CPU time (cpu_ms)")


def wall_exceeded(limit: int) -> LimitExceeded:
    return LimitExceeded(1102, f"a request took more than {limit} s (wall_s)")


def event_wall_exceeded(limit: int) -> LimitExceeded:
    return LimitExceeded(1102, f"an event took more than {limit} s (event_wall_s)")


def too_many(limit: int) -> LimitExceeded:
    return LimitExceeded(1015, f"the version has {limit} requests in hand (concurrent)")


def too_many_uploads(limit: int) -> LimitExceeded:
    return LimitExceeded(1015, f"the version has {limit} requests in hand whose bodies are still coming (concurrent)")


def too_many_sockets(limit: int) -> LimitExceeded:
    return LimitExceeded(1015, f"the worker has {limit} sockets open (sockets)")


def ended(why: str) -> LimitExceeded:
    return LimitExceeded(1102, f"the worker's process was ended: it {why}")


def too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(1102, f"an answer is over {limit} bytes (response_bytes)")


def too_many_subrequests(limit: int) -> LimitExceeded:
    return LimitExceeded(1102, f"too many subrequests: more than {limit} of one request (subrequests)")


class LimitedBody:
    """The chunks, until there are too many bytes of them."""

    def __init__(self, chunks: RemoteStream, limit: int) -> None:
        self._chunks, self._limit, self._left = chunks, limit, limit
        self.aclose = chunks.aclose

    def __aiter__(self) -> LimitedBody:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._chunks.__anext__()
        self._left -= len(chunk)
        if self._left < 0:
            raise too_large(self._limit)
        return chunk

    def attach_sink(self, take: Callable[[bytes], bool]) -> None:
        """As of ``RemoteStream``; what is too much is left for the reader to refuse."""

        def counted(chunk: bytes) -> bool:
            if len(chunk) > self._left or not take(chunk):
                return False
            self._left -= len(chunk)
            return True

        self._chunks.attach_sink(counted)


class Deadline:
    """``async with Deadline(seconds)``: LimitExceeded when it takes longer, as ``exceeded`` makes it."""

    def __init__(self, seconds: int, exceeded: Callable[[int], LimitExceeded] = wall_exceeded) -> None:
        self._seconds, self._exceeded = seconds, exceeded
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._timeout.__aexit__(*raised)  # type: ignore[arg-type]
        except TimeoutError:
            if self._timeout.expired():
                raise self._exceeded(self._seconds) from None
            raise


__all__ = [
    "Deadline",
    "IsolateLost",
    "LimitExceeded",
    "LimitedBody",
    "Limits",
    "cpu_exceeded",
    "ended",
    "event_wall_exceeded",
    "too_large",
    "too_many",
    "too_many_subrequests",
    "too_many_uploads",
    "wall_exceeded",
]
