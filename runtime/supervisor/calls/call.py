"""One call on its way between two workers, and its answer. What they say to each other is opaque here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from bindings.messages import HostSocket, Target
from runtime.supervisor.calls.stubs import Stub, Stubs
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.limits import Limits
from runtime.tracing import Span

Capability = Stub | AsyncIterator[Any]


class Caller(NamedTuple):
    """``depth``: how many calls led to what calls, which count for it. ``span``: its own."""

    depth: int
    span: Span


class Call(NamedTuple):
    """``method`` of an entrypoint of ``target``'s worker."""

    caller: Caller
    target: Target
    method: str
    payload: bytes
    capabilities: list[Capability]  # empty once somebody else has them

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.target.entrypoint}.{self.method}"

    @property
    def label(self) -> str:
        """The same: nothing of it is secret."""
        return self.name


class Answer(NamedTuple):
    payload: bytes
    capabilities: list[Capability]


class Begun(NamedTuple):
    """A call that ``process`` may be asked at once, in hand until ``ended()``. ``await failed(error)``: what its caller
    is told of it. ``limits``: within which it is to answer; None: it has none."""

    process: Stubs
    ended: Callable[[], None]
    failed: Callable[[Exception], Awaitable[Exception]]
    limits: Limits | None


class ServiceRequest(msgspec.Struct, frozen=True):
    """A request that another worker makes."""

    caller: Caller
    target: Target
    method: str
    url: str
    headers: Headers
    body: bytes | AsyncIterator[Any] | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def label(self) -> str:
        """The same, without what may be secret."""
        return self.method


class ServiceAnswer(msgspec.Struct, frozen=True):
    """``body``: a socket too, which whoever has the answer joins to its own."""

    status: int
    text: str
    headers: Headers
    body: bytes | AsyncIterator[Any] | HostSocket | None


class Callee(Protocol):
    """A version of a worker, as a call sees it. ``call`` and ``request`` raise ``UserError``, or the ``RemoteError`` of
    what the worker raised."""

    def begin(self, *, requests: bool = False) -> Begun | None:
        """Have a call in hand, or a request, if nothing is to be waited for; None: ``call`` does what there is to do,
        or ``request``."""

    async def call(self, call: Call) -> Answer: ...

    async def request(self, request: ServiceRequest) -> ServiceAnswer: ...


__all__ = ["Answer", "Begun", "Call", "Callee", "Caller", "Capability", "ServiceAnswer", "ServiceRequest"]
