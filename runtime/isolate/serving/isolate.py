"""What the supervisor calls an isolate for: ``load`` once, ``fetch`` per request, ``event`` for what is none, ``call``
and ``invoke`` for another worker's calls, ``resident`` for what a product keeps in it, and ``drain`` before it lets go.
The isolate calls ``binding``, ``fetch`` (outbound), and for other workers ``call``, ``invoke`` and ``request``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from runtime import web
from runtime.errors import ScriptError
from runtime.isolate import env as environment
from runtime.isolate import meter, suspending
from runtime.isolate.boot import Boot
from runtime.isolate.calls import promised, unawaited
from runtime.isolate.calls.line import Line
from runtime.isolate.calls.service import Service
from runtime.isolate.remote import Outbound, lent
from runtime.isolate.script import loader, trace
from runtime.isolate.script.errors import as_failure
from runtime.isolate.script.mentions import mentioned
from runtime.isolate.serving.caching import through_caches
from runtime.isolate.serving.calls import Calls
from runtime.isolate.serving.context import Tasks
from runtime.isolate.serving.events import Events
from runtime.isolate.serving.listeners import SocketEvents
from runtime.isolate.serving.requests import Requests
from runtime.isolate.serving.worker import Worker
from runtime.processes import thread_count
from runtime.web.scope import current_env
from runtime.web.sockets import set_runner
from runtime.wire import Channel

_threads = ThreadPoolExecutor(64, thread_name_prefix="asyncio")  # of ``asyncio.to_thread``; most of them wait


class Isolate:
    """Serves the supervisor's calls."""

    def __init__(self) -> None:
        self.channel: Channel
        self._line: Line
        self._worker: Worker
        self._requests: Requests
        self._operations: dict[str, Callable[..., Awaitable[Any]]] = {
            "load": self._load,
            "drain": self._drain,
            "beat": self._beat,
            "debug": self._debug,
        }

    def __call__(self, op: str, args: list[Any]) -> Awaitable[Any]:
        return self._operations[op](*args)

    def note(self, op: str, args: list[Any]) -> None:
        if op == "returned":
            self._line.loans.returned(args[0])
        else:
            self._requests.note(op, args[0])

    async def _debug(self, server: int, root: int) -> None:
        from runtime.isolate.serving import debugging  # few workers' business

        await debugging.attach(server, root)

    async def _load(self, boot: Boot) -> tuple[list[str], bool]:
        """Modules that are worth keeping, and whether importing them has started no thread."""
        root = Path(boot["root"])
        tasks, cpu_ms = Tasks(boot["wait_until"]), boot.get("cpu_ms")
        if cpu_ms is not None:
            _meter(cpu_ms)
        tasks.loop.set_default_executor(_threads)
        suspending.begin(tasks.loop)
        promised.begin()
        unawaited.begin()
        if boot.get("confined"):
            trace.name_from_root()
        self._line = line = Line(self.channel)
        env = environment.build(boot["bindings"], line)
        lent.channel = self.channel
        through = boot.get("through")
        send = Service(line, through)._followed if through else Outbound(self.channel)
        web.set_transport(through_caches(send))
        current_env.set(env)  # for code that runs while it is imported
        try:
            script = loader.load(Path(boot["main"]), root, boot["packages"], confined=boot.get("confined", False))
            if not suspending.is_wanted() and mentioned("run_sync", "pyodide", root):
                suspending.want()
            if suspending.is_wanted():
                suspending.follow_tasks(tasks.loop)
            self._worker = worker = Worker(line, env, script, tasks, cpu_ms)
            self._requests = Requests(worker)
            set_runner(SocketEvents(worker))
        except ScriptError as error:
            raise as_failure(error) from None
        calls = Calls(worker)
        self._operations.update(
            fetch=self._requests.fetch, event=Events(worker).event, call=calls.call, invoke=calls.invoke
        )
        if resident := boot.get("resident"):
            kept = resolve_name(resident[0])(worker, **resident[1])
            self._operations.update(resident=kept, call=kept.call)
            tasks.closers.append(kept.aclose)
        return loader.third_party(root, boot["packages"]), thread_count() == 1

    async def _beat(self) -> bool:
        """The loop turns. Whether a thread goes on that was to end."""
        return meter.is_stuck()

    async def _drain(self) -> None:
        await self._worker.tasks.drain()


def _meter(cpu_ms: int) -> None:
    from runtime.isolate import threads  # dev has no use for it

    meter.begin(cpu_ms)
    threads.follow()
