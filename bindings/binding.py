"""The host's half of one configured binding, and what it may be besides."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from bindings.messages import Target

if TYPE_CHECKING:  # not needed in an isolate
    from runtime.config import Config


class Binding(Protocol):
    """The host's half of one configured binding."""

    name: str  # as in env.NAME; "js.NAME": of the module js, for every worker
    client: str  # "module:Class" of the worker's half

    @property
    def client_args(self) -> Mapping[str, Any]:
        """Asked for when an isolate is begun."""

    def describe(self) -> tuple[str, str]:
        """(what it is, where it is kept) for the banner; never a secret's value."""

    async def call(self, method: str, args: Sequence[Any]) -> object:
        """Serve one call of the worker's half. Plain data, or a ``HostStream``. Errors: ``CallError``.

        ``args`` are as ``runtime.values.to_wire`` made them, with a ``WorkerStream`` for each stream.
        """


Connect = Callable[[str, int], Awaitable[tuple[StreamReader, StreamWriter]]]
"""``await connect(host, port)``, to an address that workers may reach. Raises OSError."""


@runtime_checkable
class Answering(Protocol):
    """A binding to which the worker connects: on a host, where it can connect to nothing else."""

    socket_folder: str  # there its Unix sockets would be; there are none, and no such folder

    async def answer(self, reader: StreamReader, writer: StreamWriter, connect: Connect) -> None:
        """One connection of the worker's, until either side ends it. It is closed then. Raises OSError."""


@runtime_checkable
class Explored(Protocol):
    """A binding of which the explorer's page is told more than ``describe`` says: plain data, and no secret."""

    @property
    def explored(self) -> Mapping[str, object]: ...


@runtime_checkable
class Leading(Protocol):
    """A binding that leads to a worker: its methods are called there, and ``call`` is not used.

    Its worker's half asks with ``caller.line.call(name, address, method, args, options)`` or ``.request(name, address,
    …)`` (``runtime.isolate.calls.line``). ``address`` is that half's own business, plain data that says what of the
    binding is meant: nothing for a service, the id for a namespace of objects. The runtime asks ``target(address)``
    where that is, and has it called: no product sees what is said.
    """

    def target(self, address: object) -> Target:
        """Raises CallError for an address that is none: user code may have made it up."""


class EnvType(NamedTuple):
    """What type checkers are told of a name in ``env``: a ``module:Class``, and its parameters as Python has them."""

    place: str = "typing:Any"
    parameters: str = ""


def names_in(value: object) -> list[str]:
    """The names that most tables put into ``env``: their ``binding``, or ``name`` where there is none."""
    if isinstance(value, list):
        return [name for item in value for name in names_in(item)]
    if not isinstance(value, dict):
        return []
    for nested in ("bindings", "producers"):
        if nested in value:
            return names_in(value[nested])
    name = value.get("binding", value.get("name"))
    return [name] if isinstance(name, str) else []


class Brought(msgspec.Struct, frozen=True):
    """Code that a worker has brought along: it runs in a process of its own, shut in as on a host. ``bindings`` are all
    it has. ``limits``: those of ``runtime.supervisor.limits`` that are less than a worker's. ``outbound``: "": as the
    worker's; None: it reaches nothing; else the binding that is asked instead. ``label``: for a person.
    ``printed(stream, line)``."""

    config: Config
    bindings: Sequence[Binding]
    temp: Path  # folder of its processes' temporary ones
    limits: Mapping[str, int]
    outbound: str | None
    label: str
    printed: Callable[[str, str], None]


class Version(Protocol):
    """The version of a worker that asks."""

    closers: list[Callable[[], Awaitable[None]]]  # awaited once it is let go


@runtime_checkable
class Loading(Protocol):
    """A binding that is brought code. Its worker's half calls the operation ``load`` with ``[args, services]``."""

    async def load(self, args: object, services: Sequence[Target], version: Version) -> object:
        """Plain data. ``services``: where other bindings of this version lead, for the code to be led there too. Raises
        CallError; user code may have made anything of it up."""


__all__ = [
    "Answering",
    "Binding",
    "Brought",
    "Connect",
    "EnvType",
    "Explored",
    "Leading",
    "Loading",
    "Version",
    "names_in",
]
