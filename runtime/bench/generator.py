"""The load, in a process of its own: ``python -m runtime.bench.generator``, a ``Job`` on stdin, a
``WindowResult`` on stdout.

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

from runtime.bench.job import Job, WindowResult
from runtime.limits import allow_open_files

_CONNECT_TIMEOUT_S = 30.0
_LAG_INTERVAL_S = 0.02  # between two looks at how late this process wakes
_COMPLETION_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
_clock = time.perf_counter


class Tally:
    """What was seen in the window. Times in seconds."""

    def __init__(self) -> None:
        self.latencies, self.firsts, self.gaps, self.lags = array("d"), array("d"), array("d"), array("d")
        self.events = self.counted_events = self.counted_tokens = 0
        self.failed: Counter[str] = Counter()

    def result(self, elapsed: float, cpu: float) -> WindowResult:
        rates = {"events_per_s": self.events / elapsed, "requests_per_s": len(self.latencies) / elapsed}
        if self.counted_events:  # an event may carry several tokens: the usage of finished streams says how many
            rates["tokens_per_s"] = rates["events_per_s"] * self.counted_tokens / self.counted_events
        kinds = {"ttft": self.firsts, "itl": self.gaps, "latency": self.latencies}
        times = {
            f"{kind}_p{share}_ms": percentile(values, share / 100) * 1000
            for kind, values in kinds.items()
            if values
            for share in (50, 99)
        }
        figures = {**{key: value for key, value in rates.items() if value}, **times}
        return WindowResult(
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
    """Asks, reads the answer, asks again. ``on_lost`` is called once the connection has ended."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, tally: Tally, on_lost: Callable[[Connection], None]) -> None:
        self._request, self._tally, self._on_lost = request, tally, on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._awaiting = False

    def send_request(self) -> None:
        self._awaiting, self._streaming, self._framed, self._status = True, False, False, 0
        self._partial, self._events, self._last_blocks = b"", 0, deque[bytes](maxlen=3)
        self._sent_at = self._last_at = _clock()
        self.transport.write(self._request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        self._received_at = _clock()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._tally.failed[f"not HTTP/1.1: {error}"[:120]] += 1
            self._awaiting = False
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._awaiting and self._status and not self._framed and exc is None:
            self.on_message_complete()  # an answer that ends with its connection
        elif self._awaiting:
            self._tally.failed["the connection was closed half-way"] += 1
        self._on_lost(self)

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
        *blocks, self._partial = (self._partial + body).replace(b"\r\n", b"\n").split(b"\n\n")
        count = sum(map(_is_event, blocks))
        self._last_blocks.extend(blocks)
        if count:
            self._on_events(count)

    def on_message_complete(self) -> None:
        self._awaiting = False
        if 200 <= self._status < 400:
            self._on_answer()
        else:
            self._tally.failed[f"status {self._status}"] += 1
        if self._framed and self._parser.should_keep_alive() and not self.transport.is_closing():
            self.send_request()
        else:
            self.transport.close()

    def _on_events(self, count: int) -> None:
        """``count`` events in one read: the first has waited, the others came with it."""
        tally = self._tally
        (tally.gaps if self._events else tally.firsts).append(self._received_at - self._last_at)
        if count > 1:
            tally.gaps.extend([0.0] * (count - 1))
        self._events += count
        tally.events += count
        self._last_at = self._received_at

    def _on_answer(self) -> None:
        self._tally.latencies.append(self._received_at - self._sent_at)
        usage = _COMPLETION_TOKENS.search(b"\n".join(self._last_blocks))
        if usage and self._events:
            self._tally.counted_tokens += int(usage[1])
            self._tally.counted_events += self._events


def _is_event(block: bytes) -> bool:
    """Not a comment, nor the end mark."""
    return (block.startswith(b"data:") or b"\ndata:" in block) and not block.endswith(b"data: [DONE]")


class Load:
    """All connections of a window. One that ends is replaced."""

    def __init__(self, job: Job) -> None:
        self._job, self._request, self.tally = job, request_bytes(job), Tally()
        self._open: set[Connection] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._started = self._over = False

    async def run(self) -> WindowResult:
        await asyncio.gather(*(self._dial() for _ in range(self._job.streams)))
        self._started, started, cpu = True, _clock(), time.process_time()
        for connection in list(self._open):
            connection.send_request()
        await self._until(started + self._job.seconds)
        result = self.tally.result(_clock() - started, time.process_time() - cpu)
        self._stop()
        return result

    async def _until(self, end: float) -> None:
        while (remaining := end - _clock()) > 0:
            due = _clock() + min(_LAG_INTERVAL_S, remaining)
            await asyncio.sleep(min(_LAG_INTERVAL_S, remaining))
            self.tally.lags.append(_clock() - due)

    async def _dial(self) -> None:
        """A connection, however often it takes."""
        parts = urlsplit(self._job.url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if secure else 80)
        loop = asyncio.get_running_loop()
        while not self._over:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    _, connection = await loop.create_connection(
                        self._new_connection, parts.hostname or "", port, ssl=secure
                    )
            except OSError as error:  # TimeoutError is one
                self.tally.failed[f"cannot connect: {error}"[:120]] += 1
                if not self._started:
                    raise
                await asyncio.sleep(0.1)
            else:
                self._open.add(connection)
                return connection.send_request() if self._started else None

    def _new_connection(self) -> Connection:
        return Connection(self._request, self.tally, self._on_lost)

    def _on_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._over:
            task = asyncio.ensure_future(self._dial())
            self._dialing.add(task)
            task.add_done_callback(self._dialing.discard)

    def _stop(self) -> None:
        self._over = True
        for task in self._dialing:
            task.cancel()
        for connection in list(self._open):
            connection.transport.abort()


def request_bytes(job: Job) -> bytes:
    """The same for every request of the window."""
    parts, body = urlsplit(job.url), job.body.encode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    named = {name.lower() for name, _ in job.headers}
    defaults = [("Host", parts.netloc.rpartition("@")[2]), ("Accept", "*/*")]
    if body or job.method not in ("GET", "HEAD"):
        defaults.append(("Content-Length", str(len(body))))
    headers = [*((name, value) for name, value in defaults if name.lower() not in named), *job.headers]
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
        result = _run()(Load(job).run())
    except OSError as error:
        sys.exit(f"cannot connect to {job.url}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(result))


def _run() -> Callable[..., Any]:
    with suppress(ImportError):
        import uvloop

        return uvloop.run
    return asyncio.run


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
