"""An engine's process: ``python -P -m bindings.ai.engine.server FD``, where FD is one end of a socketpair.

The way of a token begins here, and goes on in ``process``, ``client`` and ``delta_stream``.

1. The supervisor calls ``open`` with an ``EngineSpec``. The engine loads its model; notes named ``progress`` go back.
2. It asks for a ``generate`` stream with a ``Generate``. ``EngineServer.source`` answers with the engine's ``feed``, a
   ``PushSource`` that the engine puts each ``Delta`` into as the model makes it, or with its ``generate``, an iterator.
3. The channel writes each delta as ``[text, tokens, prompt_tokens, finish_reason, extra]``; those that one turn of the
   event loop brings, of whatever streams, cross in one write.
4. A supervisor that drops the stream closes the feed or the iterator, which aborts the request inside the engine.

``perform`` is a call: one ``Task``, one answer; cancelling aborts it. ``stats``, ``metrics``, ``sleep`` and ``wake``
are calls as well. ``listen`` lets other machines' supervisors ask too (``listening``).

The process must never outlive the supervisor, not even one that was killed, nor leave children on the GPU. Its
standard input is a pipe that nobody writes to: when the supervisor is gone the pipe ends, the model is given
``UNLOAD_TIMEOUT_S`` to leave, and then the whole process group is killed. Signals are the supervisor's business: a
Ctrl-C in the terminal or a SIGTERM for the service must not take the model from streams still being served.
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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pkgutil import resolve_name
from typing import Any

import msgspec

from bindings.ai.engine import tasks
from bindings.ai.engine.listening import Listening
from bindings.ai.engine.protocol import (
    ENGINES,
    Delta,
    Engine,
    EngineError,
    EngineInfo,
    EngineSpec,
    Feeding,
    Generate,
    Sleeping,
    bad_input,
)
from runtime.errors import UserError
from runtime.memory import freeze_heap
from runtime.processes import kill_group
from runtime.wire import Channel, PushSource

UNLOAD_TIMEOUT_S = 5.0  # a model has to free what it holds

Perform = Callable[[tasks.Task, str], Awaitable[tasks.Answer]]


class RemoteUserError(Exception):
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
        self.disconnected = asyncio.Event()
        self._listening = Listening(self.handle, self.source, self._info)

    async def handle(self, op: str, args: list[Any]) -> object:
        if op == "perform":
            return await self._perform(msgspec.convert(args[0], tasks.Task), args[1])
        if op == "open":
            return await self._open(msgspec.convert(args[0], EngineSpec))
        if op == "sleep":
            return await self.engine.sleep() if isinstance(self.engine, Sleeping) else 0
        if op == "wake":
            return await self.engine.wake() if isinstance(self.engine, Sleeping) else None
        if op == "listen":
            return await self._listening.begin(*args)
        if op == "listen_here":
            return await self._listening.begin_here(*args)
        if op == "fronts":
            return len(self._listening.fronts)
        if op == "stats":
            return {"live": self.engine.live if self.engine else 0}
        if op == "metrics":
            return _metrics()
        raise ValueError(f"unknown operation {op!r}")

    async def _open(self, spec: EngineSpec) -> EngineInfo:
        try:
            self.engine = await engine_class(spec.engine, spec.runner).open(spec, self._progress)
        except UserError as error:
            raise RemoteUserError(error) from None
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
                del request  # a stream may take its time
                async for delta in deltas:
                    yield delta
        except EngineError:
            raise
        except Exception:
            traceback.print_exc()
            raise

    async def _perform(self, task: tasks.Task, request_id: str) -> tasks.Answer:
        perform: Perform | None = getattr(self.engine, "perform", None)
        if perform is None or self.engine is None:
            raise bad_input(f"the engine {_engine_name(self.engine)} tells no tokens")
        try:
            return await perform(task, request_id)
        except EngineError:
            raise
        except Exception:
            traceback.print_exc()
            raise

    def _info(self) -> EngineInfo:
        assert self.engine is not None
        return self.engine.info

    def _progress(self, stage: str, fraction: float | None) -> None:
        self.channel.note("progress", stage, fraction)

    async def wait_until_over(self) -> None:
        """Until the supervisor leaves or the model has died."""
        while not self.disconnected.is_set() and (self.engine is None or self.engine.alive):
            try:
                async with asyncio.timeout(0.5):
                    await self.disconnected.wait()
            except TimeoutError:
                continue


def engine_class(name: str, runner: str = tasks.GENERATE) -> type[Engine]:
    """The class behind an engine's short name, for what the model is run for."""
    entry = ENGINES[name] if runner == tasks.GENERATE else tasks.ENGINES_BY_RUNNER[name, runner]
    engine: type[Engine] = resolve_name(entry)
    return engine


def _engine_name(engine: Engine | None) -> str:
    return engine.info.engine if engine else "of this model"


def _metrics() -> str:
    """What the engine's libraries have told ``prometheus_client``, if one of them uses it."""
    library = sys.modules.get("prometheus_client")
    return library.generate_latest().decode() if library else ""


async def serve(sock: socket.socket) -> None:
    server = EngineServer()
    server.channel = await Channel.open(sock, server.handle, on_close=server.disconnected.set, sources=server.source)
    await server.wait_until_over()
    if not server.disconnected.is_set():
        await server.channel.aclose()  # the last words of the streams that the model took with it
    await _close_engine(server.engine)
    os._exit(0)  # at once: a library's threads and exit handlers may take their time, or hang


async def _close_engine(engine: Engine | None) -> None:
    try:
        async with asyncio.timeout(UNLOAD_TIMEOUT_S):
            if engine is not None:
                await engine.aclose()
    except TimeoutError:
        _end_now()


def _end_with_supervisor() -> None:
    while os.read(0, 1):
        pass
    time.sleep(UNLOAD_TIMEOUT_S)
    _end_now()


def _end_now() -> None:
    """This process and every process it started, the model's own included."""
    if os.getpgrp() == os.getpid():
        kill_group(os.getpid())
    os._exit(1)


def main() -> None:
    import uvloop

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which children would inherit
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
