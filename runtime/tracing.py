"""Spans: what a request caused, where traces are on; ``NO_SPAN`` where they are not, which costs nothing.

The supervisor begins a request's span (``runtime.supervisor.telemetry.tracing``) and whoever works for the request
makes children of it. ``current`` is the span that the code at hand works for. A span is ended by who made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol

Kind = Literal["server", "client", "internal"]


class Span(Protocol):
    @property
    def over(self) -> bool:
        """It has ended, or there is none: what comes is no part of it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """``traceparent``, and ``tracestate`` if there is one, for a server that is asked (W3C Trace Context)."""

    def child(self, name: str, kind: Kind = "internal", attributes: Mapping[str, Any] | None = None) -> Span: ...

    def set(self, attributes: Mapping[str, Any]) -> None: ...

    def end(self, failure: BaseException | str | None = None) -> None:
        """Once. ``failure``: what made it fail."""


class NoSpan:
    """Nothing is traced."""

    headers: Mapping[str, str] = {}
    over = True

    def child(self, name: str, kind: Kind = "internal", attributes: Mapping[str, Any] | None = None) -> Span:
        return self

    def set(self, attributes: Mapping[str, Any]) -> None:
        pass

    def end(self, failure: BaseException | str | None = None) -> None:
        pass


NO_SPAN: Span = NoSpan()
current: ContextVar[Span] = ContextVar("current_span", default=NO_SPAN)


@contextmanager
def part(parent: Span, name: str, kind: Kind, facts: Mapping[str, Any]) -> Iterator[Span]:
    """A child of ``parent`` that lasts as long as the block, and fails with it."""
    span = parent.child(name, kind, facts)
    try:
        yield span
    except BaseException as error:
        span.end(error)
        raise
    span.end()


__all__ = ["NO_SPAN", "Kind", "Span", "current", "part"]
