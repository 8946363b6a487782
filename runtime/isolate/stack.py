"""Where this process is: Python stacks, to be had even while it answers nothing.

A signal makes ``faulthandler`` write Python stacks to a descriptor that the supervisor reads. That is C code, which
needs neither the event loop nor the interpreter's lock: a loop, a lock and a call into C that never returns are all
seen, and nothing is paid before someone asks.
"""

from __future__ import annotations

import faulthandler
import signal

_LAST_REAL_TIME_SIGNAL: signal.Signals | None = getattr(signal, "SIGRTMAX", None)  # a worker's own signals are others

MAIN_THREAD = int(signal.SIGUSR1 if _LAST_REAL_TIME_SIGNAL is None else _LAST_REAL_TIME_SIGNAL - 1)
"""Asks for the main thread's stack: the safe one, for that thread stands still meanwhile."""

EVERY_THREAD = int(signal.SIGUSR2 if _LAST_REAL_TIME_SIGNAL is None else _LAST_REAL_TIME_SIGNAL)
"""Asks for every thread's."""


def ignore_signals() -> None:
    """Until ``write_stacks_to`` the signals mean nothing; unhandled they would end the process."""
    for number in (MAIN_THREAD, EVERY_THREAD):
        signal.signal(number, signal.SIG_IGN)


def write_stacks_to(descriptor: int) -> None:
    """From now on the signals are answered there."""
    faulthandler.register(MAIN_THREAD, descriptor, all_threads=False)
    faulthandler.register(EVERY_THREAD, descriptor, all_threads=True)


__all__ = ["EVERY_THREAD", "MAIN_THREAD", "ignore_signals", "write_stacks_to"]
