"""What passes between a worker and a host's half: streams, events, and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from runtime.errors import UserError

T = TypeVar("T")


class HostStream(msgspec.Struct):
    """A byte stream the supervisor owns and a worker may be handed: by handle, so that returning it
    unread costs the worker nothing. Whoever ends up with it closes it."""

    chunks: AsyncIterator[bytes]
    meta: Mapping[str, Any] = {}  # reaches the worker's half with the handle


class HostSocket(msgspec.Struct):
    """A WebSocket of which the supervisor has an end: a worker may be handed it, by number, as it is a stream."""

    end: Any  # ``runtime.supervisor.sockets.ends.End``
    meta: Mapping[str, Any] = {}


class WorkerStream:
    """A byte stream that a worker gave as an argument: its own, or one of the supervisor's by handle. It is read once,
    and closed when the call returns. ``anext`` raises what its source does."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source

    def __aiter__(self) -> WorkerStream:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._source.__anext__()
        if not isinstance(chunk, bytes):
            raise CallError("TypeError", "a chunk of the stream is not bytes")
        return chunk

    async def aclose(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


class Event(msgspec.Struct, frozen=True):
    """Something besides a request that a worker is to deal with.

    ``handler``: of the worker, ``scheduled`` or ``queue``: a method of its class ``entrypoint``; for ``Default`` also
    ``on_scheduled``, or a function of that very name. It is handed ``client(**args)``, which is made in the isolate,
    then env and ctx; or ``client(caller, **args)``, which calls the host's half of ``binding``, one of this worker's
    that its ``env`` need not have: a name with a ``.`` in front is not there, and its calls count as no subrequests.
    If that object has ``arguments``, the handler is handed those instead. When it has returned,
    ``outcome(returned)`` of that object says what became of the event, in plain data; ``failed(error)``, if it has
    that, does so when the script has raised.

    ``about``: what Cloudflare's tail shows of it, ``{"cron", "scheduledTime"}`` or ``{"queue", "batchSize"}``.
    """

    handler: str
    client: str  # "module:Class"
    args: Mapping[str, Any] = {}
    entrypoint: str | Callable[[Any], str] = "Default"  # or what names it, of the version's bindings
    binding: str = ""
    about: Mapping[str, Any] = {}
    timed: bool = True  # whether a request's limit of time holds for it; else whoever dispatches it ends it
    leaving: Callable[[], None] | None = None  # called once the version that deals with it is to be let go


TraceItem = dict[str, Any]
"""What became of one event of a worker, as Cloudflare's tail has it: ``outcome``, ``scriptName``, ``event``
(``{"request", "response"}``, an ``Event``'s ``about``, or None for lines that belong to none), ``eventTimestamp``,
``logs``, ``exceptions``; ``executionModel`` (stateless, durableObject, workflow), and where known ``entrypoint`` and
``durableObjectId``. Whoever reads it changes nothing in it."""


class Trace(Protocol):
    """``await trace(worker, about, work, facts)``: what ``work`` returns or raises; whoever reads is told how it ended.
    ``about``: the item's ``event``, ``facts``: more of it. Both may change until the work is done."""

    def __call__(
        self, worker: str, about: Mapping[str, Any], work: Awaitable[T], facts: Mapping[str, Any] | None = None
    ) -> Awaitable[T]: ...


async def untraced(worker: str, about: object, work: Awaitable[T], facts: object = None) -> T:
    """A ``Trace`` of nobody's."""
    return await work


class TraceReader(Protocol):
    """Whoever reads what became of workers' events."""

    def wants(self, worker: str) -> bool:
        """Asked at each event."""

    def take(self, worker: str, item: TraceItem) -> None:
        """At once, and raising nothing: a request has just been answered."""


class Resident(msgspec.Struct, frozen=True):
    """A process of a worker's that is kept between requests: one at a time, whatever versions there are.

    ``client``, "module:Class", is made in it with its ``runtime.isolate.serving.worker.Worker``: ``client(worker,
    **args())``. ``context.reside`` calls it as ``await it(event, method, args)``; before it ends comes ``await
    it.aclose()``. It may write in ``folders()``. Both are asked when a process begins.
    """

    client: str
    args: Callable[[], Mapping[str, Any]]
    folders: Callable[[], Sequence[Path]]
    open_files: int = 4096
    file_bytes: int = 10 * 1024**3  # of one file

    def rules(self) -> dict[str, Any]:
        """What its sandbox has besides a worker's (``runtime.isolate.sandbox.Rules``)."""
        folders = list(map(str, self.folders()))
        return {"write": folders, "open_files": self.open_files, "file_size": self.file_bytes}


class Target(msgspec.Struct, frozen=True):
    """What another worker calls: a class of ``worker``'s. ``id``: of the instance that lives on under that name; None:
    each call has one to itself. ``props``: its ``ctx.props``, plain data. ``reach``: gives the
    ``runtime.supervisor.calls.call.Callee`` where that is not found by the worker's name."""

    worker: str
    entrypoint: str = "Default"
    id: str | None = None
    props: Mapping[str, Any] = {}
    reach: Callable[[], Awaitable[Any]] | None = None


class Undelivered(UserError):
    """Nobody has dealt with an event, and the worker is not to blame: no version of it answers, or the process that had
    it (``begun``) has ended."""

    def __init__(self, what: str, *, begun: bool = False) -> None:
        self.begun = begun
        super().__init__(what)

    @classmethod
    @contextmanager
    def instead(cls, *errors: type[UserError]) -> Iterator[None]:
        """Raise one in the place of these."""
        try:
            yield
        except errors as error:
            raise cls(str(error)) from None


class CallError(Exception):
    """An error that crosses to the isolate: there ``caller.call`` raises ``RemoteError`` with this ``name``,
    ``message`` and ``fields``; the worker's half makes of it what the worker shall catch."""

    def __init__(self, name: str, message: str, **fields: Any) -> None:
        self.name, self.fields = name, fields
        super().__init__(message)


__all__ = [
    "CallError",
    "Event",
    "HostSocket",
    "HostStream",
    "Resident",
    "Target",
    "Trace",
    "TraceItem",
    "TraceReader",
    "Undelivered",
    "WorkerStream",
    "untraced",
]
