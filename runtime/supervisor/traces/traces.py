"""What became of each request of a worker, and of each other event, for whoever reads that: in Cloudflare's form.

A line that is printed knows nothing of requests: it goes with the one that ends next, or, if none does for a moment, by
itself. Nothing is done for a worker that nobody reads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from bindings.messages import TraceItem, TraceReader
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.traces.redaction import redacted

T = TypeVar("T")

_MAX_PENDING_LINES = 256  # printed lines that wait for the request they belong to
_UNCLAIMED_AFTER_S = 1.0  # seconds until lines that no request claims go by themselves


class Traces:
    """``readers``: whoever reads, from now on or later."""

    def __init__(self, readers: Sequence[TraceReader]) -> None:
        self._readers = readers
        self._lines: dict[str, list[TraceItem]] = {}
        self._left: dict[str, int] = {}  # worker → lines that found no place

    def printed(self, worker: str, stream: str, line: str) -> None:
        """A line of a worker: it waits for the request it belongs to, for a moment."""
        if not self._wanted(worker):
            return
        waiting = self._lines.setdefault(worker, [])
        if not waiting:
            asyncio.get_running_loop().call_later(_UNCLAIMED_AFTER_S, self._flush, worker)
        if len(waiting) < _MAX_PENDING_LINES:
            level = "log" if stream == "stdout" else "error"
            waiting.append({"message": [line], "level": level, "timestamp": _now()})
        else:
            self._left[worker] = self._left.get(worker, 0) + 1

    async def request(self, worker: str, exchange: Exchange, work: Awaitable[None]) -> None:
        """Do it, and tell how it ended: with what it raised, or its status; 499: the client has left."""
        try:
            await work
        except asyncio.CancelledError:
            self._answered(worker, exchange, 499, None)
            raise
        except Exception as error:
            self._answered(worker, exchange, exchange.status or 500, error)
            raise
        self._answered(worker, exchange, exchange.status, None)

    async def event(self, worker: str, about: Mapping[str, Any], work: Awaitable[T]) -> T:
        """The same of what is no client's request: a cron's run, a queue's batch, another worker's call. What has no
        ``about`` is not told of, the reading of traces itself among it: that would have no end."""
        try:
            outcome = await work
        except Exception as error:
            self._dealt_with(worker, about, error)
            raise
        self._dealt_with(worker, about, None)
        return outcome

    def _answered(self, worker: str, exchange: Exchange, status: int, error: Exception | None) -> None:
        if not self._wanted(worker):
            return
        outcome = "exception" if error is not None else "canceled" if status == 499 else "ok"
        ms = round((time.perf_counter() - exchange.started) * 1000)
        self._tell(worker, _item(worker, outcome, _about(exchange, status), error, ms))

    def _dealt_with(self, worker: str, about: Mapping[str, Any], error: Exception | None) -> None:
        if about and self._wanted(worker):
            self._tell(worker, _item(worker, "ok" if error is None else "exception", dict(about), error))

    def _wanted(self, worker: str) -> bool:
        return any(reader.wants(worker) for reader in self._readers)

    def _flush(self, worker: str) -> None:
        if self._lines.get(worker):
            self._tell(worker, _item(worker, "ok", None))

    def _tell(self, worker: str, item: TraceItem) -> None:
        item["logs"], item["truncated"] = self._lines.pop(worker, []), self._left.pop(worker, 0) > 0
        for reader in self._readers:
            if reader.wants(worker):
                reader.take(worker, item)


def _item(worker: str, outcome: str, about: Any, error: Exception | None = None, ms: int = 0) -> TraceItem:
    """``ms``: how long ago it began."""
    return {
        "outcome": outcome,
        "scriptName": worker,
        "event": about,
        "eventTimestamp": _now() - ms,
        "logs": [],
        "exceptions": [] if error is None else [_exception(error)],
        "diagnosticsChannelEvents": [],
        "truncated": False,
    }


def _exception(error: Exception) -> TraceItem:
    name, _, what = str(getattr(error, "what", error)).partition(": ")
    name, what = (name, what) if name.isidentifier() else (type(error).__name__, f"{name}: {what}".strip(": "))
    return {"name": name, "message": what, "timestamp": _now()}


def _about(exchange: Exchange, status: int) -> TraceItem:
    return {"request": _request(exchange), "response": {"status": status}}


def _request(exchange: Exchange) -> TraceItem:
    scope = exchange.scope
    headers = redacted(scope["headers"])
    url = f"{scope['scheme']}://{headers.get('host', '')}{scope['raw_path'].decode('latin-1')}"
    return {"url": url, "method": exchange.method, "headers": headers}


def _now() -> int:
    return int(time.time() * 1000)


__all__ = ["Traces"]
