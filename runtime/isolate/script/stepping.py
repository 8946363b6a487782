"""A coroutine that is begun where it stands: most that answer a request never wait, and need no task.

Theory of operation. Only a task can wait. But what runs may ask which task it is in, and hold on to the answer, as a
timeout or a group of tasks does; so the task is there ahead of the first step, which is taken in its name. It goes on
with what waits; what is over has left it as it was, for the next. Until then nobody sees it among the loop's.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task  # for who steps by himself
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

Work = Coroutine[Any, Any, None]


def begin(work: Work) -> asyncio.Task[None] | None:
    """The first step of ``work``, in a copy of this context. The task in which it goes on; None: it is over. Raises
    what it raises."""
    loop, here, context = asyncio.get_running_loop(), asyncio.current_task(), copy_context()
    spare = _spares.pop() if _spares and _spares[-1].loop is loop else _Spare(loop)
    assert here is not None
    _leave_task(loop, here)
    _enter_task(loop, spare.task)
    try:
        waits_for = context.run(work.send, None)
    except BaseException as end:
        spare.lay_by()
        if isinstance(end, StopIteration):
            return None
        raise
    finally:
        _leave_task(loop, spare.task)
        _enter_task(loop, here)
    return spare.go_on(work, context, waits_for)


class _Spare(Coroutine[Any, Any, None]):
    """What a task runs that lies ready; the rest of somebody's work, once there is some."""

    _work: Work | None = None
    _context: Context
    _waits_for: object  # since its first step; _HEARD: the task knows of it

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self._lies = loop, loop.create_future()
        self.task = asyncio.Task(self, loop=loop)
        _unregister_task(self.task)

    def lay_by(self) -> None:
        """For the next; unless it was cancelled, or somebody is to be told of its end."""
        if self.task.cancelling() or getattr(self.task, "_callbacks", None):
            self._lies.set_result(None)
        else:
            _spares.append(self)

    def go_on(self, work: Work, context: Context, waits_for: object) -> asyncio.Task[None]:
        _register_task(self.task)
        self._work, self._context, self._waits_for = work, context, waits_for
        self._lies.set_result(None)
        return self.task

    def send(self, value: object) -> object:
        if self._work is None:
            return next(iter(self._lies))
        waits_for, self._waits_for = self._waits_for, _HEARD
        return self._context.run(self._work.send, value) if waits_for is _HEARD else waits_for

    def throw(self, error: Any, *_: object) -> object:
        if self._work is None:
            raise error
        self._waits_for = _HEARD
        return self._context.run(self._work.throw, error)

    def close(self) -> None:
        if self._work is not None:
            self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a task runs it")


_HEARD = object()
_spares: list[_Spare] = []

__all__ = ["begin"]
