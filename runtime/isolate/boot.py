"""What passes between supervisor and isolate at the beginning; the first call, ``load``, brings a ``Boot``."""

from __future__ import annotations

from typing import Any, Required, TypedDict

ASKS = b"?"  # of an isolate whose connections are asked about, ahead of all messages, with seccomp's listener beside it

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


__all__ = ["ASKS", "LINE_MARKS", "Boot"]
