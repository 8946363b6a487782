"""The worker that an isolate has loaded, and what every call of it begins with."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from runtime.isolate import suspending
from runtime.isolate.calls.line import Line
from runtime.isolate.calls.service import Exports
from runtime.isolate.env import Env
from runtime.isolate.meter import CpuExceeded, Metered
from runtime.isolate.remote import current_event
from runtime.isolate.script.entrypoints import entrypoints
from runtime.isolate.script.errors import as_failure, ended_by_runtime
from runtime.isolate.serving.context import Context, Tasks
from runtime.web.scope import current_ctx, current_env
from runtime.wire import Channel

T = TypeVar("T")


class Worker(msgspec.Struct, frozen=True):
    """``cpu_ms``: of one request or event, None: no limit."""

    line: Line
    env: Env
    script: ModuleType
    tasks: Tasks
    cpu_ms: int | None

    @property
    def channel(self) -> Channel:
        return self.line.channel

    def exports(self) -> Exports:
        """``ctx.exports``."""
        return Exports(self.line, entrypoints(self.script))

    def begin(self, event: int) -> Context:
        """What runs from here on in this task belongs to the event of this number."""
        ctx = Context(self.tasks, self.exports)
        current_event.set(event)
        current_env.set(self.env)
        current_ctx.set(ctx)
        return ctx

    def metered(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Raises CpuExceeded."""
        if suspending.is_wanted():
            work = suspending.suspendable(work)
        return work if self.cpu_ms is None else Metered(work, self.cpu_ms)


def is_the_scripts(error: BaseException) -> bool:
    """Whether the script has failed, rather than been ended by the runtime: ``failure`` makes it one that crosses."""
    return not (ended_by_runtime(error) or isinstance(error, CpuExceeded))


failure = as_failure

__all__ = ["Worker", "failure", "is_the_scripts"]
