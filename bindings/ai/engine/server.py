"""An engine's process: ``python -P -m bindings.ai.engine.server FD``, where FD is one end of a socketpair.

Theory of operation
-------------------
The supervisor (``bindings.ai.engine.process``) holds the other end and four things cross it: ``open`` with an
``EngineSpec`` (notes named ``progress`` come back until the model is loaded), ``generate``, which asks for a
stream of deltas, ``perform`` (a task with one answer) and ``stats``. Dropping the stream,
or cancelling the call, aborts the request.

It must never outlive the supervisor, not even one that was killed, nor leave children on the GPU. Its
standard input is a pipe that nobody writes to: when the supervisor is gone the pipe ends, the model is given
a moment to leave, and then the whole process group is killed. Signals are the supervisor's business: a Ctrl-C
in the terminal or a SIGTERM for the service must not take the model from streams still being served.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from importlib import import_module
from typing import Any

import msgspec

from bindings.ai.engine import tasks
from bindings.ai.engine.protocol import (
    ENGINES,
    Delta,
    Engine,
    EngineError,
    EngineInfo,
    EngineSpec,
    Feeding,
    Generate,
    bad_input,
)
from runtime.errors import UserError
from runtime.memory import freeze_heap
from runtime.wire import Channel, PushSource

GRACE = 5.0  # seconds a model has to leave


class Refused(Exception):
    """A UserError on its way to the supervisor."""

    def __init__(self, error: UserError) -> None:
        self.name = "UserError"
        self.fields = {"what": error.what, "where": error.where, "remedy": error.remedy}
        super().__init__(str(error))


class EngineServer:
    """Serves one engine to one supervisor."""

    channel: Channel

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self._feed: Callable[[Generate, str], PushSource | None] = lambda request, request_id: None
        self.left = asyncio.Event()

    async def handle(self, op: str, args: list[Any]) -> Any:
        if op == "perform":
            return await self._perform(msgspec.convert(args[0], tasks.Task), args[1])
        if op == "open":
            return await self._open(msgspec.convert(args[0], EngineSpec))
        if op == "stats":
            return {"live": self.engine.live if self.engine else 0}
        if op == "metrics":
            return _metrics()
        raise ValueError(f"unknown operation {op!r}")

    async def _open(self, spec: EngineSpec) -> EngineInfo:
        try:
            self.engine = await load(spec.engine, spec.runner).open(spec, self._progress)
        except UserError as error:
            raise Refused(error) from None
        except Exception:
            traceback.print_exc()
            raise
        if isinstance(self.engine, Feeding):
            self._feed = self.engine.feed
        freeze_heap()
        return self.engine.info

    def source(self, op: str, args: list[Any]) -> AsyncIterator[Delta] | PushSource:
        """The stream of deltas that the supervisor asks for."""
        if op != "generate":
            raise ValueError(f"unknown operation {op!r}")
        request, request_id = msgspec.convert(args[0], Generate), args[1]
        return self._feed(request, request_id) or self._deltas(request, request_id)

    async def _deltas(self, request: Generate, request_id: str) -> AsyncIterator[Delta]:
        assert self.engine is not None
        try:
            async with aclosing(self.engine.generate(request, request_id)) as deltas:
                async for delta in deltas:
                    yield delta
        except EngineError:
            raise
        except Exception:
            traceback.print_exc()
            raise

    async def _perform(self, task: tasks.Task, request_id: str) -> Any:
        perform = getattr(self.engine, "perform", None)
        if perform is None or self.engine is None:
            raise bad_input(f"the engine {_name(self.engine)} tells no tokens")
        try:
            return await perform(task, request_id)
        except EngineError:
            raise
        except Exception:
            traceback.print_exc()
            raise

    def _progress(self, stage: str, fraction: float | None) -> None:
        self.channel.note("progress", stage, fraction)

    async def until_over(self) -> None:
        """Until the supervisor leaves or the model has died."""
        while not self.left.is_set() and (self.engine is None or self.engine.alive):
            try:
                async with asyncio.timeout(0.5):
                    await self.left.wait()
            except TimeoutError:
                continue


def load(name: str, runner: str = tasks.GENERATE) -> type[Engine]:
    """The class behind an engine's short name, for what the model is run for."""
    entry = ENGINES[name] if runner == tasks.GENERATE else tasks.ENGINES_BY_RUNNER[name, runner]
    module, _, cls = entry.partition(":")
    engine: type[Engine] = getattr(import_module(module), cls)
    return engine


def _name(engine: Engine | None) -> str:
    return engine.info.engine if engine else "of this model"


def _metrics() -> str:
    """What the engine's libraries have told ``prometheus_client``, if one of them uses it."""
    library = sys.modules.get("prometheus_client")
    return library.generate_latest().decode() if library else ""


async def serve(sock: socket.socket) -> None:
    host = EngineServer()
    host.channel = await Channel.open(sock, host.handle, on_close=host.left.set, sources=host.source)
    await host.until_over()
    if not host.left.is_set():
        await host.channel.aclose()  # the last words of the streams that the model took with it
    await _free(host.engine)
    os._exit(0)  # at once: a library's threads and exit handlers may take their time, or hang


async def _free(engine: Engine | None) -> None:
    try:
        async with asyncio.timeout(GRACE):
            if engine is not None:
                await engine.aclose()
    except TimeoutError:
        _kill_family()


def _end_with_supervisor() -> None:
    while os.read(0, 1):
        pass
    time.sleep(GRACE)
    _kill_family()


def _kill_family() -> None:
    """This process and every process it started, the model's own included."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    import uvloop

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which children would inherit
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
