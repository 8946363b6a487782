"""CPU time of one request: its handler's steps, its tasks and its body, and the threads that were begun for it.

Theory of operation
-------------------
``Metered`` adds up the steps of a handler exactly, and each thread that works for it has a clock of its own, which the
kernel keeps. Whether it is too much is asked where a step ends, and at each *tick*: a signal that comes after so much
CPU time of this process (ITIMER_PROF), and not at all while it rests. A tick's handler runs in the main thread, between
two instructions of whatever runs there: so it can end a loop that never pauses. Tasks and a body's chunks are charged
by the tick, as a profiler would; by half of it, so that chance ends nobody.

What ends is given ``CpuSpent``, which no ``except Exception`` holds up. A thread that is deep in C hears of it later,
or never: ``is_stuck`` tells, and the host takes another process. A worker could undo all of this; the host's own count
of the process's time is what it cannot.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from time import thread_time_ns
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_TICKS_PER_LIMIT = 20
_TICK_S = (0.01, 1.0)  # seconds of CPU time between two ticks: at least, at most
_STUCK_S = 2.0  # seconds that a thread may take to end

current: ContextVar[Metered | None] = ContextVar("current", default=None)
_threaded: set[Metered] = set()  # those with threads
_lock = threading.Lock()  # of each Metered's threads


class CpuExceeded(Exception):
    """The request has used up its CPU time."""


class CpuSpent(BaseException):
    """Ends the code that has used it up."""


class Metered:
    """Awaits ``work``, and ends it with ``CpuExceeded`` beyond ``limit`` milliseconds."""

    __slots__ = ("_left", "_task", "_threads", "_work", "ended_at")

    def __init__(self, work: Coroutine[Any, Any, Any], limit: int) -> None:
        self._work, self._left = work, limit * 1_000_000  # nanoseconds, without the step and the threads that run
        self._threads: dict[int, tuple[int, int]] | None = None  # by identifier: its clock, what that showed at first
        self._task: asyncio.Task[Any] | None = None  # while this is awaited, and pauses
        self.ended_at: float | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        global _stepping, _began
        step, value = self._work.send, None
        current.set(self)
        try:
            while True:
                _stepping, _began = self, thread_time_ns()
                try:
                    waits_for = step(value)
                except StopIteration as done:
                    return done.value
                finally:
                    _stepping = None
                    self._left -= thread_time_ns() - _began
                if self._left < 0:
                    raise CpuSpent
                if self._task is None:
                    self._task = asyncio.current_task()
                try:
                    step, value = self._work.send, (yield waits_for)
                except BaseException as error:
                    step, value = self._thrown, error
        except CpuSpent:
            current.set(None)  # what the runtime still does for it is not to be ended
            self._work.close()
            raise CpuExceeded from None
        finally:
            _stepping = self._task = None

    def _thrown(self, error: BaseException) -> Any:
        """Into the handler; but what cancels it on our behalf is not for its ears."""
        if isinstance(error, asyncio.CancelledError) and self.ended_at is not None and self._task is not None:
            self._task.uncancel()
            raise CpuSpent
        return self._work.throw(error)

    def charge(self, nanoseconds: int) -> None:
        """For what was not seen to begin. Raises CpuSpent."""
        self._left -= nanoseconds
        if self.is_over():
            raise CpuSpent

    def is_over(self) -> bool:
        left = self._left - (thread_time_ns() - _began if _stepping is self else 0)
        return left < sum(_since(*thread) for thread in tuple(self._threads.values() if self._threads else ()))

    def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """``work``, in a thread that is not the event loop's."""
        ident, began, token = threading.get_ident(), thread_time_ns(), current.set(self)
        with _lock:
            self._threads = running = self._threads or {}
            running[ident] = (_clock(threading.get_native_id()), began)
            _threaded.add(self)
        try:
            if self.ended_at is not None:
                raise CpuSpent
            return work(*args, **named)
        finally:
            with _lock:
                del running[ident]
                self._left -= thread_time_ns() - began
                if not running:
                    _threaded.discard(self)
                if self.ended_at is not None:
                    _raise_in(ident, None)  # it may have come too late, and the thread may be a pool's
            current.reset(token)

    def end(self) -> None:
        """Its handler, where it still runs, and its threads."""
        self.ended_at = self.ended_at or time.monotonic()
        if self._task is not None:
            self._task.cancel()
        with _lock:
            for ident in self._threads or ():
                _raise_in(ident, CpuSpent)


_stepping: Metered | None = None  # the one that makes a step, and the main thread's time when it began that
_began = 0
_main_thread_ns = 0  # at the last tick


def begin(limit: int) -> None:
    """The ticks, for requests of at most ``limit`` milliseconds. In the main thread, which has the event loop."""
    every = min(max(limit / 1000 / _TICKS_PER_LIMIT, _TICK_S[0]), _TICK_S[1])
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGPROF, lambda *_: _tick(loop))
    signal.siginterrupt(signal.SIGPROF, False)  # system calls of the worker's libraries go on
    signal.setitimer(signal.ITIMER_PROF, every, every)


def is_stuck() -> bool:
    """A thread goes on though it was told to end."""
    now = time.monotonic()
    return any(it.ended_at is not None and now - it.ended_at > _STUCK_S for it in tuple(_threaded))


def _tick(loop: asyncio.AbstractEventLoop) -> None:
    global _main_thread_ns
    now = thread_time_ns()
    since, _main_thread_ns = now - _main_thread_ns, now
    for metered in tuple(_threaded):
        if metered.is_over():
            loop.call_soon_threadsafe(metered.end)
    if _stepping is not None:
        _stepping.charge(0)
    elif (metered_ := current.get()) is not None:  # a task's
        metered_.charge(since // 2)


def _clock(thread: int) -> int:
    """The kernel's clock of a thread of this process (Linux: include/linux/posix-timers.h, CPUCLOCK_PERTHREAD)."""
    return (~thread << 3) | 6


def _since(clock: int, first: int) -> int:
    try:
        return time.clock_gettime_ns(clock) - first
    except OSError:
        return 0  # the thread has ended


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    raised = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


__all__ = ["CpuExceeded", "CpuSpent", "Metered", "begin", "current", "is_stuck"]
