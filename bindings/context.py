"""What the supervisor lends to products: where they keep state, whom they tell something, who reaches a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bindings.binding import Binding, Brought
from bindings.deploying import WorkerRegistry
from bindings.messages import Event, Trace, TraceReader, untraced
from runtime.errors import ScriptError, UserError

if TYPE_CHECKING:  # not needed in an isolate
    from runtime.config import Config


class Seal(Protocol):
    """A host's secrets at rest: a text that is sealed for ``worker`` and ``name`` opens for these alone."""

    def close(self, worker: str, name: str, text: str) -> str: ...

    def open(self, worker: str, name: str, sealed: str) -> str:
        """Raises UserError: it was sealed with another key."""


class ProductObserver(Protocol):
    """How a product tells the person at the terminal something: what it uses of the supervisor's ``Observer``."""

    def debug(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def error(self, text: str, worker: str | None = None) -> None: ...

    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        """What a worker raised, with its own traceback."""

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        """A bug in a product, with its traceback."""

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        """``fraction``: 0..1, or None where nobody knows."""

    def progress_done(self, key: str, text: str) -> None: ...


class FirstFront(Protocol):
    """The first front, where a host has several supervisors and this is another. ``key``: a product's, whose
    ``Lending`` answers there."""

    async def ask(self, key: str, op: str, *args: object) -> Any:
        """Raises RemoteError, ChannelClosed, TimeoutError."""

    def note(self, key: str, op: str, *args: object) -> None: ...

    def binding(self, version: str, name: str) -> Binding:
        """One of a version's, which is called there. It has no worker's half."""


class Lending(Protocol):
    """At the first front: what a product lends to one of the others."""

    async def answer(self, op: str, args: list[Any]) -> object: ...

    def note(self, op: str, args: list[Any]) -> None: ...

    def close(self) -> None:
        """The other is gone."""


Admits = Callable[[str, str, str], bool]
"""``(token, scope, address)``: whether this token has this scope. Raises RequestError when too many wrong tokens have
come from the client's address."""


_NOT_YET, _LATER = "no worker is served yet", "Ask again once the start is over."


async def _nobody(worker: str, event: Event) -> object:
    raise UserError(_NOT_YET, where=worker, remedy=_LATER)


async def _no_process(worker: str, method: str, args: Sequence[Any]) -> object:
    raise UserError(_NOT_YET, where=worker, remedy=_LATER)


def _no_code(brought: Brought) -> Any:
    raise UserError(_NOT_YET, where=brought.config.name, remedy=_LATER)


async def _nothing(worker: str) -> None:
    """There is no such process."""


class ProductContext(msgspec.Struct):
    """What the supervisor lends to products: where to keep state, and how to tell the person something."""

    root: Path  # the worker's project folder
    state: Path  # .pilot/state
    on_host: bool  # pilot host (True) or pilot dev (False)
    observer: ProductObserver
    shared: dict[str, Any] = {}  # product key → what outlives reloads
    url: str = ""  # where the supervisor answers, without a slash at the end
    config: Config | None = None  # on a host: its own settings; in dev: the worker's, as it was at start
    admits: Admits | None = None  # on a host
    registry: WorkerRegistry | None = None  # on a host
    seal: Seal | None = None  # on a host
    first: FirstFront | None = None  # None: this is the first front
    dispatch: Callable[[str, Event], Awaitable[object]] = _nobody
    """``await dispatch(worker, event)``: the version that answers its requests deals with it; its outcome. Raises
    ``ScriptError`` when the worker fails, has no such handler or uses more than it may, and ``Undelivered``."""
    reside: Callable[[str, str, Sequence[Any]], Awaitable[object]] = _no_process
    """``await reside(worker, method, args)``: what its ``Resident`` answers, plain data or a ``HostStream``; an async
    iterator of bytes among ``args`` is a stream there. Raises ``RemoteError`` with what that raised, ``ScriptError``
    when the process ends or uses more than it may, another ``UserError`` when there is none."""
    rehouse: Callable[[str], Awaitable[None]] = _nothing
    """``await rehouse(worker)``: the process with its ``Resident`` has ended, if there was one; the next begins when
    it is asked for something."""
    load: Callable[[Brought], Any] = _no_code
    """A ``runtime.supervisor.processes.deployment.Deployment`` of it, which is not open yet."""
    trace: Trace = untraced
    readers: list[TraceReader] = []  # of what becomes of requests and events
    options: Mapping[str, Any] = msgspec.field(
        default_factory=dict
    )  # ``bindings.OPTIONS`` as given, e.g. {"engine": "echo"}

    def leads(self, config: Config) -> bool:
        """Whether, in dev, this is the first worker's: what it says of the server counts for all."""
        return self.config is None or config.path == self.config.path


__all__ = ["Admits", "FirstFront", "Lending", "ProductContext", "ProductObserver", "Seal"]
