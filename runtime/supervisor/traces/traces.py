"""What became of each request of a worker, and of each other event, for whoever reads that: in Cloudflare's form.

A line that is printed goes with the event it was printed for, or, where that has ended or there was none, by itself
after a moment. What is printed past ``print``, by a program or a library in C, goes with the event that ends next.
Nothing is done for a worker that nobody reads.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from bindings.messages import TraceItem, TraceReader
from runtime.supervisor.http.dispatch import Answered, Handler, Ready, Serve
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.telemetry.tracing import Tracer
from runtime.supervisor.traces.lines import Claim, Lines, claim, parted
from runtime.supervisor.traces.redaction import redacted
from runtime.tracing import NO_SPAN, Span, current

T = TypeVar("T")

_UNCLAIMED_AFTER_S = 1.0  # seconds until lines that no event claims go by themselves
LATE_S = 0.05  # seconds that an event's lines may come after its end: they have a pipe of their own


class Traces:
    """``readers``: whoever reads, from now on or later. ``tracer``: where an event begins a trace, if it is no part of
    one."""

    def __init__(self, readers: Sequence[TraceReader], tracer: Tracer) -> None:
        self._readers, self._tracer = readers, tracer
        self._lines: dict[str, Lines] = {}
        self._running: dict[str, set[Claim]] = {}
        self._flushing: set[str] = set()  # workers

    def printed(self, worker: str, stream: str, line: str) -> str:
        """A line of a worker, as its process sent it; it waits for the event it belongs to. The line as it was
        printed."""
        number, text = parted(line)
        if self.wanted(worker):
            level = "log" if stream == "stdout" else "error"
            item = {"message": [text], "level": level, "timestamp": _now()}
            self._lines.setdefault(worker, Lines()).add(number, item)
            if worker not in self._flushing:
                self._flushing.add(worker)
                asyncio.get_running_loop().call_later(_UNCLAIMED_AFTER_S, self._flush, worker)
        return text

    async def request(self, worker: str, exchange: Exchange, work: Awaitable[None]) -> None:
        """Do it, and tell how it ended: with what it raised, or its status; 499: the client has left."""
        await self._within(worker, self._begin(worker, exchange.number), exchange, work)

    def ask(self, worker: str, version: Ready, exchange: Exchange, told: Answered, serve: Serve) -> bool:
        """The same of what takes no task, as of ``version``."""
        mine = self._begin(worker, exchange.number)

        def over(exchange: Exchange) -> None:
            self._answered(worker, mine, exchange, 499 if exchange.left else exchange.status, None)
            told(exchange)

        def goes_on(exchange: Exchange, handler: Handler) -> Awaitable[None]:
            return serve(exchange, lambda exchange: self._within(worker, mine, exchange, handler(exchange)))

        asked = False
        try:
            asked = version.ask(exchange, over, goes_on)
        finally:
            if not asked:
                self._end(worker, mine)
        return asked

    async def _within(self, worker: str, mine: Claim, exchange: Exchange, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            self._answered(worker, mine, exchange, 499, None)
            raise
        except Exception as error:
            self._answered(worker, mine, exchange, exchange.status or 500, error)
            raise
        self._answered(worker, mine, exchange, exchange.status, None)

    async def event(
        self,
        worker: str,
        about: Mapping[str, Any],
        work: Awaitable[T],
        facts: Mapping[str, Any] | None = None,
        within: Span = NO_SPAN,
    ) -> T:
        """The same of what is no client's request: a cron's run, a queue's batch, an alarm, another worker's call.

        ``about``: the item's ``event``. What has none is not told of, the reading of traces itself among it: that would
        have no end. ``facts``: more of the item (``bindings.messages.TraceItem``). Both may change until it ends.
        ``within``: the span that it is a part of; else ``current`` is.
        """
        if not about:
            return await work
        mine = self._begin(worker)
        outer = claim.set(mine)
        error: BaseException | None = None
        span = self._span(worker, about, facts or {}, within)
        try:
            return await work
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
            raise
        finally:
            claim.reset(outer)
            if span is not NO_SPAN:
                span.end((facts or {}).get("outcome") or error)
            self._dealt_with(worker, mine, about, error, facts or {})

    @contextmanager
    def goes_on(self, name: str, headers: Mapping[str, str]) -> Iterator[None]:
        """A trace of another process, which has told these ``headers`` of its span; none: there is no trace."""
        span = self._tracer.event(name, {}, headers) if headers else NO_SPAN
        outer = current.set(span)
        try:
            yield
        finally:
            current.reset(outer)
            span.end(sys.exception())

    def _span(self, worker: str, about: Mapping[str, Any], facts: Mapping[str, Any], within: Span) -> Span:
        """A trace's first, which is ``current`` from now on; NO_SPAN: it is a part of one."""
        if not (within.over and current.get().over):
            return NO_SPAN
        span = self._tracer.event(_named(about, facts), {"pilot.worker": worker})
        if span is not NO_SPAN:
            current.set(span)
        return span

    def has_use(self, worker: str) -> bool:
        """Whether an event of it is worth being told of, or being traced."""
        return self._tracer.on or self.wanted(worker)

    def wanted(self, worker: str) -> bool:
        """Whether somebody reads."""
        return any([reader.wants(worker) for reader in self._readers])  # noqa: C419 - asked of each event, and cheaper

    def _begin(self, worker: str, *numbers: int) -> Claim:
        mine = Claim(*numbers)
        self._running.setdefault(worker, set()).add(mine)
        return mine

    def _answered(self, worker: str, mine: Claim, exchange: Exchange, status: int, error: Exception | None) -> None:
        if not self.wanted(worker):
            return self._end(worker, mine)
        item = _item(worker, "canceled" if status == 499 else "ok", _about(exchange, status))
        item["eventTimestamp"] -= round((time.perf_counter() - exchange.started) * 1000)
        self._tell(worker, mine, item, error)

    def _dealt_with(
        self, worker: str, mine: Claim, about: Mapping[str, Any], error: BaseException | None, facts: Mapping[str, Any]
    ) -> None:
        if not about or not self.wanted(worker):
            return self._end(worker, mine)
        outcome = "canceled" if isinstance(error, asyncio.CancelledError) else "ok"
        self._tell(worker, mine, {**_item(worker, outcome, dict(about)), **facts}, error)

    def _tell(self, worker: str, mine: Claim, item: TraceItem, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            item.update(raised(str(getattr(error, "what", error)), type(error).__name__))
        asyncio.get_running_loop().call_later(LATE_S, self._send, worker, mine, item)

    def _send(self, worker: str, mine: Claim, item: TraceItem) -> None:
        self._end(worker, mine)
        if (lines := self._lines.get(worker)) is not None:
            item["logs"], item["truncated"] = lines.take(mine.numbers)
        self.give(worker, item)

    def _end(self, worker: str, mine: Claim) -> None:
        mine.over = True
        self._running[worker].discard(mine)

    def _flush(self, worker: str) -> None:
        self._flushing.discard(worker)
        lines = self._lines.pop(worker, Lines())
        running = {number for one in self._running.get(worker, ()) for number in one.numbers}
        logs, truncated = lines.unclaimed(running)
        if lines:
            self._lines[worker] = lines
        if logs or truncated:
            self.give(worker, {**_item(worker, "ok", None), "logs": logs, "truncated": truncated})

    def give(self, worker: str, item: TraceItem) -> None:
        """To whoever reads."""
        for reader in self._readers:
            if reader.wants(worker):
                reader.take(worker, item)


def _item(worker: str, outcome: str, about: Any) -> TraceItem:
    return {
        "outcome": outcome,
        "scriptName": worker,
        "executionModel": "stateless",
        "event": about,
        "eventTimestamp": _now(),
        "logs": [],
        "exceptions": [],
        "diagnosticsChannelEvents": [],
        "truncated": False,
    }


def _named(about: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Of a span."""
    whose = facts.get("entrypoint", "")
    match about:
        case {"cron": cron}:
            return f"cron {cron}"
        case {"queue": queue}:
            return f"queue {queue}"
        case {"scheduledTime": _}:
            return f"alarm {whose}"
        case {"rpcMethod": method}:
            return f"{whose}.{method}"
        case {"getWebSocketEvent": {"webSocketEventType": kind}}:
            return f"socket {whose} {kind}"
        case {"request": {"method": method}}:
            return f"{whose} {method}"
    return "email" if "mailFrom" in about else "event"


def raised(what: str, otherwise: str = "Error") -> TraceItem:
    """Of an item whose event has failed. ``what``: ``ValueError: no``, or of a kind that is called ``otherwise``."""
    name, _, text = what.partition(": ")
    name, text = (name, text) if name.isidentifier() else (otherwise, f"{name}: {text}".strip(": "))
    return {"outcome": "exception", "exceptions": [{"name": name, "message": text, "timestamp": _now()}]}


def _about(exchange: Exchange, status: int) -> TraceItem:
    return {"request": _request(exchange), "response": {"status": status}}


def _request(exchange: Exchange) -> TraceItem:
    scope = exchange.scope
    headers = redacted(scope["headers"])
    url = f"{scope['scheme']}://{headers.get('host', '')}{scope['raw_path'].decode('latin-1')}"
    return {"url": url, "method": exchange.method, "headers": headers}


def _now() -> int:
    return int(time.time() * 1000)


__all__ = ["LATE_S", "Traces", "raised"]
