"""The thread that alone writes to a database.

Theory of operation. What was asked for while the thread was busy is done in one transaction, so that those who wait
wait for one fsync together; a savepoint around each call keeps one that fails from undoing the others. Some failures
undo more than their own: a full disk, an interrupt, ``ON CONFLICT ROLLBACK``, a deferred foreign key at COMMIT. Then
each call of that transaction is done again in one of its own: none of it was kept, or acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec

from bindings.d1.sql.connection import Connection
from bindings.d1.sql.errors import TOO_SLOW, D1Error

T = TypeVar("T")
GROUP_CALLS = 64
GROUP_PATIENCE_S = 1.0  # for each of them
GROUP_S = 0.02  # after which those who are done wait for no others


class Job(msgspec.Struct):
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    alone: bool = False  # makes its own transactions
    result: Any = None
    error: BaseException | None = None


class Writer:
    """``opened`` is called in the thread."""

    def __init__(self, opened: Callable[[], Connection]) -> None:
        self._opened = opened
        self._thread: ThreadPoolExecutor | None = None
        self._queue: list[Job] = []
        self.busy = False
        self.last: asyncio.Future[Any] | None = None  # what was asked for last

    def do(self, work: Callable[[Connection], T], *, alone: bool = False) -> asyncio.Future[T]:
        """The result of ``work``, once it is on disk. It is done even when nobody waits any more."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append(Job(work, future, alone))
        self.last = future
        if not self.busy:
            self.busy = True
            loop.call_soon(self._begin, loop)  # what else this turn of the loop asks for comes along
        return future

    def shut(self) -> None:
        """Wait for what is being done."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, self._queue = self._queue[:GROUP_CALLS], self._queue[GROUP_CALLS:]
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="d1 writes")
        done = loop.run_in_executor(self._thread, self._work_off, jobs)
        done.add_done_callback(partial(self._settle, loop, jobs))

    def _settle(self, loop: asyncio.AbstractEventLoop, jobs: list[Job], done: asyncio.Future[None]) -> None:
        for job in jobs:
            if job.future.done():  # whoever waited was cancelled
                continue
            error = job.error or done.exception()
            if error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(error)
        self.busy = bool(self._queue)
        if self.busy:
            self._begin(loop)

    # In the thread

    def _work_off(self, jobs: list[Job]) -> None:
        connection = self._opened()
        at = 0
        while at < len(jobs):
            several = len(jobs) - at > 1 and not jobs[at].alone
            tried, kept = _together(connection, jobs[at:]) if several else (1, False)
            if not kept:
                for job in jobs[at : at + tried]:
                    _by_itself(connection, job)
            at += tried


def _together(connection: Connection, jobs: list[Job]) -> tuple[int, bool]:
    """How many of them were done in one transaction, and whether it came to be."""
    tried, until = 0, time.monotonic() + GROUP_S
    connection.patience_s = GROUP_PATIENCE_S
    try:
        connection.begin("IMMEDIATE")
        while tried < len(jobs) and not jobs[tried].alone and time.monotonic() < until:
            tried += 1
            _attempt(connection, jobs[tried - 1])
            if connection.guard.about_connection:  # such as PRAGMA defer_foreign_keys, which is for one transaction
                break
        connection.commit()
    except Exception:
        connection.rollback()
        return max(1, tried), False
    finally:
        connection.patience_s = float("inf")
    return tried, True


def _attempt(connection: Connection, job: Job) -> None:
    connection.own("SAVEPOINT call")
    try:
        job.result, job.error = job.work(connection), None
    except D1Error as error:
        if str(error) == TOO_SLOW:  # it may have longer, but not while others wait with it
            raise
        job.error = error
        connection.own("ROLLBACK TO call")  # raises where SQLite has undone all of it
    connection.own("RELEASE call")


def _by_itself(connection: Connection, job: Job) -> None:
    try:
        if not job.alone:
            connection.begin("IMMEDIATE")
        job.result, job.error = job.work(connection), None
        if not job.alone:
            connection.commit()
    except Exception as error:
        job.error = error
        connection.rollback()


__all__ = ["Writer"]
