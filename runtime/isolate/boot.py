"""What passes between supervisor and isolate at the beginning; the first call, ``load``, brings a ``Boot``."""

from __future__ import annotations

from typing import Annotated, Any, Required, TypedDict

import msgspec

ASKS = b"?"  # of an isolate on a host, ahead of all messages: beside it the line of its sockets, and seccomp's listener

LINE_MARKS = "\x1e", "\x1f"  # around the number of the event that a printed line is of, at its beginning


class Boot(TypedDict, total=False):
    """``packages``: folders of what the worker depends on, which is then all that it sees; ``bindings``: rows as of
    ``env.build``; ``wait_until``: seconds; ``confined``: on a host; ``cpu_ms``: of a request, None or left out: no
    limit; ``resident``: of ``bindings.messages.Resident``, its client and arguments; ``through``: the binding whose
    ``fetch`` is the global one, "": there is none."""

    root: Required[str]
    main: Required[str]
    packages: Required[list[str]]
    bindings: Required[list[list[Any]]]
    wait_until: Required[float]
    confined: bool
    cpu_ms: int | None
    resident: tuple[str, dict[str, Any]]
    through: str


class Resolve(msgspec.Struct, tag=True, array_like=True):
    """Asked on the line: as of ``socket.getaddrinfo``."""

    host: str | None
    port: int | str | None
    family: int
    kind: int
    protocol: int
    flags: int


class Connect(msgspec.Struct, tag=True, array_like=True):
    """Asked on the line, for the event of this number: a TCP connection."""

    event: int
    host: str
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Addresses(msgspec.Struct, tag=True, array_like=True):
    """As ``socket.getaddrinfo`` has them."""

    found: list[tuple[int, int, int, str, tuple[Any, ...]]]


class Connected(msgspec.Struct, tag=True, array_like=True):
    """With the connection beside it; the addresses of both ends."""

    peer: tuple[Any, ...]
    own: tuple[Any, ...]


class Failed(msgspec.Struct, tag=True, array_like=True):
    """``number``: an errno, or one of ``socket.gaierror`` if it is about a ``name``."""

    number: int
    text: str
    name: bool = False


__all__ = ["ASKS", "LINE_MARKS", "Addresses", "Boot", "Connect", "Connected", "Failed", "Resolve"]
