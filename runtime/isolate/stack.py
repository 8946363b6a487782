"""Where this process is, told even while it answers nothing.

A signal makes ``faulthandler`` write Python stacks to a descriptor that the supervisor reads. That is C code, which
needs neither the event loop nor the interpreter's lock: a loop, a lock and a call into C that never returns are all
seen, and nothing is paid before someone asks.
"""

from __future__ import annotations

import faulthandler
import signal

_REAL_TIME: signal.Signals | None = getattr(signal, "SIGRTMAX", None)  # a worker's own signals are others

MAIN = int(signal.SIGUSR1 if _REAL_TIME is None else _REAL_TIME - 1)
"""Asks for the main thread's stack: the safe one, for that thread stands still meanwhile."""

ALL = int(signal.SIGUSR2 if _REAL_TIME is None else _REAL_TIME)
"""Asks for every thread's."""


def keep_quiet() -> None:
    """Until ``tell`` the signals mean nothing; unhandled they would end the process."""
    for number in (MAIN, ALL):
        signal.signal(number, signal.SIG_IGN)


def tell(descriptor: int) -> None:
    """From now on the signals are answered there."""
    faulthandler.register(MAIN, descriptor, all_threads=False)
    faulthandler.register(ALL, descriptor, all_threads=True)


__all__ = ["ALL", "MAIN", "keep_quiet", "tell"]
