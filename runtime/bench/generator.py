"""The load, in a process of its own: ``python -m runtime.bench.generator``, a ``Job`` on stdin, a ``Found`` on stdout.

Raw protocols on uvloop and httptools' parser: an event costs it some 4 µs, an answered request some 9.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from runtime.bench.job import Found, Job
from runtime.limits import allow_open_files

CONNECT = 30.0  # seconds for one connection
TICK = 0.02  # seconds between two looks at how late this process wakes
_TOLD = re.compile(rb'"completion_tokens":\s*(\d+)')
_clock = time.perf_counter


class Tally:
    """What was seen in the window. Times in seconds."""

    def __init__(self) -> None:
        self.latencies, self.firsts, self.gaps, self.lags = array("d"), array("d"), array("d"), array("d")
        self.events = self.told_events = self.told_tokens = 0
        self.failed: Counter[str] = Counter()

    def found(self, elapsed: float, cpu: float) -> Found:
        rates = {"events_per_s": self.events / elapsed, "requests_per_s": len(self.latencies) / elapsed}
        if self.told_events:  # an event may carry several tokens: what finished streams told says how many
            rates["tokens_per_s"] = rates["events_per_s"] * self.told_tokens / self.told_events
        kinds = {"ttft": self.firsts, "itl": self.gaps, "latency": self.latencies}
        times = {
            f"{kind}_p{share}_ms": percentile(values, share / 100) * 1000
            for kind, values in kinds.items()
            if values
            for share in (50, 99)
        }
        figures = {**{key: value for key, value in rates.items() if value}, **times}
        return Found(
            figures,
            len(self.latencies),
            self.events,
            dict(self.failed),
            cpu / elapsed,
            percentile(self.lags, 0.99) * 1000,
        )


def percentile(values: array[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Connection(asyncio.Protocol):
    """Asks, reads the answer, asks again. ``gone`` is called once the connection has ended."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, tally: Tally, gone: Callable[[Connection], None]) -> None:
        self._request, self._tally, self._gone = request, tally, gone
        self._parser = httptools.HttpResponseParser(self)
        self._asking = False

    def ask(self) -> None:
        self._asking, self._streaming, self._framed, self._status = True, False, False, 0
        self._rest, self._events, self._recent = b"", 0, deque[bytes](maxlen=3)
        self._asked = self._last = _clock()
        self.transport.write(self._request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        self._now = _clock()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._tally.failed[f"not HTTP/1.1: {error}"[:120]] += 1
            self._asking = False
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asking and self._status and not self._framed and exc is None:
            self.on_message_complete()  # an answer that ends with its connection
        elif self._asking:
            self._tally.failed["the connection was closed half-way"] += 1
        self._gone(self)

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-type":
                self._streaming = value.startswith(b"text/event-stream")
            case b"content-length" | b"transfer-encoding":
                self._framed = True

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self._streaming:
            return
        *blocks, self._rest = (self._rest + body).replace(b"\r\n", b"\n").split(b"\n\n")
        made = sum(map(_is_event, blocks))
        self._recent.extend(blocks)
        if made:
            self._came(made)

    def on_message_complete(self) -> None:
        self._asking = False
        if 200 <= self._status < 400:
            self._finished()
        else:
            self._tally.failed[f"status {self._status}"] += 1
        if self._framed and self._parser.should_keep_alive() and not self.transport.is_closing():
            self.ask()
        else:
            self.transport.close()

    def _came(self, made: int) -> None:
        """``made`` events in one read: the first has waited, the others came with it."""
        tally = self._tally
        (tally.gaps if self._events else tally.firsts).append(self._now - self._last)
        if made > 1:
            tally.gaps.extend([0.0] * (made - 1))
        self._events += made
        tally.events += made
        self._last = self._now

    def _finished(self) -> None:
        self._tally.latencies.append(self._now - self._asked)
        told = _TOLD.search(b"\n".join(self._recent))
        if told and self._events:
            self._tally.told_tokens += int(told[1])
            self._tally.told_events += self._events


def _is_event(block: bytes) -> bool:
    """Not a comment, nor the end mark."""
    return (block.startswith(b"data:") or b"\ndata:" in block) and not block.endswith(b"data: [DONE]")


class Load:
    """All connections of a window. One that ends is replaced."""

    def __init__(self, job: Job) -> None:
        self._job, self._request, self.tally = job, request_bytes(job), Tally()
        self._open: set[Connection] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._begun = self._over = False

    async def run(self) -> Found:
        await asyncio.gather(*(self._dial() for _ in range(self._job.streams)))
        self._begun, began, cpu = True, _clock(), time.process_time()
        for connection in list(self._open):
            connection.ask()
        await self._until(began + self._job.seconds)
        found = self.tally.found(_clock() - began, time.process_time() - cpu)
        self._end()
        return found

    async def _until(self, end: float) -> None:
        while (left := end - _clock()) > 0:
            due = _clock() + min(TICK, left)
            await asyncio.sleep(min(TICK, left))
            self.tally.lags.append(_clock() - due)

    async def _dial(self) -> None:
        """A connection, however often it takes."""
        parts = urlsplit(self._job.url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if secure else 80)
        loop = asyncio.get_running_loop()
        while not self._over:
            try:
                async with asyncio.timeout(CONNECT):
                    _, connection = await loop.create_connection(self._make, parts.hostname or "", port, ssl=secure)
            except OSError as error:  # TimeoutError is one
                self.tally.failed[f"cannot connect: {error}"[:120]] += 1
                if not self._begun:
                    raise
                await asyncio.sleep(0.1)
            else:
                self._open.add(connection)
                return connection.ask() if self._begun else None

    def _make(self) -> Connection:
        return Connection(self._request, self.tally, self._gone)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._over:
            task = asyncio.ensure_future(self._dial())
            self._dialing.add(task)
            task.add_done_callback(self._dialing.discard)

    def _end(self) -> None:
        self._over = True
        for task in self._dialing:
            task.cancel()
        for connection in list(self._open):
            connection.transport.abort()


def request_bytes(job: Job) -> bytes:
    """The same for every request of the window."""
    parts, body = urlsplit(job.url), job.body.encode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    known = {name.lower() for name, _ in job.headers}
    ours = [("Host", parts.netloc.rpartition("@")[2]), ("Accept", "*/*")]
    if body or job.method not in ("GET", "HEAD"):
        ours.append(("Content-Length", str(len(body))))
    headers = [*((name, value) for name, value in ours if name.lower() not in known), *job.headers]
    lines = [f"{job.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    if job.cpu is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {job.cpu})
    allow_open_files()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        found = _run()(Load(job).run())
    except OSError as error:
        sys.exit(f"cannot connect to {job.url}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _run() -> Callable[..., Any]:
    with suppress(ImportError):
        import uvloop

        return uvloop.run
    return asyncio.run


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
