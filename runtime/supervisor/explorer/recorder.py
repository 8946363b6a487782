"""Traces for whoever looks at the explorer: requests and events with their spans, the newest of them, in memory.

A tracer around another one, which sends spans to a collector or does nothing. While nobody looks, and has not for a
while, it hands on what the other one makes: a request then costs the question whether somebody does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from runtime.supervisor.explorer import feed
from runtime.supervisor.explorer.feed import OWN, Feed, Trace
from runtime.supervisor.telemetry.tracing import Tracer
from runtime.tracing import Kind, Span

KEPT = 100  # traces
MAX_SPANS = 200  # of one trace; the rest is counted
_MAX_TEXT = 500  # characters of an attribute
_LATE_S = 0.2  # seconds that spans may end after their request


class Recorder:
    """``inner``: whose spans leave for a collector."""

    def __init__(self, inner: Tracer, traces: Feed) -> None:
        self._inner, self._traces = inner, traces

    @property
    def on(self) -> bool:
        return self._inner.on or self._traces.wanted

    def request(self, scope: Mapping[str, Any]) -> Span:
        inner = self._inner.request(scope)
        if not self._traces.wanted:
            return inner
        path = scope["root_path"] + scope["path"]
        if path.startswith(OWN):
            return inner
        return self._begun(f"{scope['method']} {path}", "server", inner)

    def event(self, name: str, facts: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Span:
        inner = self._inner.event(name, facts, headers)
        return self._begun(name, "internal", inner, facts) if self._traces.wanted else inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _begun(self, name: str, kind: Kind, inner: Span, facts: Mapping[str, Any] | None = None) -> Span:
        return _Recording(_Recorded(name, self._publish), None, name, kind, inner, facts or {})

    def _publish(self, trace: Trace) -> None:
        asyncio.get_running_loop().call_later(_LATE_S, self._traces.trace, trace)


class _Recorded:
    """A trace that goes on."""

    def __init__(self, name: str, publish: Callable[[Trace], None]) -> None:
        self.trace, self._publish = Trace(name, []), publish
        self._began = time.perf_counter()

    def now(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 3)

    def add(self, span: feed.Span) -> int | None:
        """Its number; None: there is no place."""
        if len(self.trace.spans) >= MAX_SPANS:
            self.trace.left += 1
            return None
        self.trace.spans.append(span)
        return len(self.trace.spans) - 1

    def end(self) -> None:
        self._publish(self.trace)


class _Recording:
    """One span of it, and the inner tracer's."""

    def __init__(
        self, recorded: _Recorded, parent: int | None, name: str, kind: Kind, inner: Span, facts: Mapping[str, Any]
    ) -> None:
        self._recorded, self._inner, self._root = recorded, inner, parent is None
        self._span = feed.Span(name, kind, parent, recorded.now())
        self._number = recorded.add(self._span)
        self.over = False
        self._keep(facts)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    def child(self, name: str, kind: Kind = "internal", attributes: Mapping[str, Any] | None = None) -> Span:
        inner = self._inner.child(name, kind, attributes)
        return _Recording(self._recorded, self._number or 0, name, kind, inner, attributes or {})

    def set(self, attributes: Mapping[str, Any]) -> None:
        self._inner.set(attributes)
        self._keep(attributes)

    def end(self, failure: BaseException | str | None = None) -> None:
        self._inner.end(failure)
        self.over, self._span.ms = True, round(self._recorded.now() - self._span.start, 3)
        if failure is not None and not isinstance(failure, asyncio.CancelledError | GeneratorExit):
            self._span.failed = failure if isinstance(failure, str) else type(failure).__name__
        if self._root:
            self._recorded.end()

    def _keep(self, attributes: Mapping[str, Any]) -> None:
        self._span.facts |= {key: _short(value) for key, value in attributes.items() if value is not None}


def _short(value: Any) -> Any:
    return value[:_MAX_TEXT] if isinstance(value, str) else value


__all__ = ["KEPT", "Recorder"]
