"""One engine process, seen from the supervisor: start it, load a model in it, stream from it, end it.

The way of a token, from ``server``: here the supervisor holds the other end of the socketpair. ``EngineProcess.stream``
asks for the deltas of one request and returns the channel's ``RemoteStream``, whose items are the lists that
``server`` wrote. A reader may fall ``WINDOW_DELTAS`` behind; then a feed makes one delta of all that come, and an
iterator is not asked for more. Next: ``client``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from bindings.ai.engine import tasks
from bindings.ai.engine.protocol import EngineInfo, EngineSpec, Generate, Progress
from runtime.errors import UserError
from runtime.processes import group_ended, kill_group
from runtime.wire import Channel, RemoteError, RemoteStream, no_calls

EXIT_TIMEOUT_S = 8.0  # from asking it to leave to killing it; longer than its own ``server.UNLOAD_TIMEOUT_S``
GROUP_TIMEOUT_S = 10.0  # for what was killed with it to be gone: a GPU's memory is held until then
WINDOW_DELTAS = 4096
Log = Callable[[str], None]
Launch = Callable[[Log, Mapping[str, str]], Awaitable["EngineProcess"]]


class EngineProcess:
    """It leads a process group: Ctrl-C in the terminal passes it by, and one kill ends its children too."""

    _process: Process
    _channel: Channel
    _reader: asyncio.Task[None]

    def __init__(self, log: Log) -> None:
        self._log = log
        self._progress: Progress = lambda stage, fraction: None
        self.tail: deque[str] = deque(maxlen=60)  # the last lines it printed
        self.info: EngineInfo | None = None  # once the model is loaded

    @classmethod
    async def start(cls, log: Log, environment: Mapping[str, str] | None = None) -> EngineProcess:
        """``environment``: beside this process's own."""
        self = cls(log)
        own_end, engine_end = socket.socketpair()
        with engine_end:
            self._channel = await Channel.open(own_end, no_calls, on_note=self._on_note)
            try:
                self._process = await _spawn(engine_end, environment or {})
            except BaseException:
                await self._channel.aclose()
                raise
        self._reader = asyncio.create_task(self._read_log())
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def others(self) -> int:
        """Requests in hand that came from other supervisors."""
        return 0

    @property
    def is_open(self) -> bool:
        """It has not gone."""
        return self._channel.is_open

    async def open(self, spec: EngineSpec, progress: Progress) -> EngineInfo:
        """Load the model. Raises UserError; ChannelClosed when the process died; RemoteError for a bug."""
        self._progress = progress
        try:
            self.info = msgspec.convert(await self._channel.call("open", spec), EngineInfo)
            return self.info
        except RemoteError as error:
            if error.name == "UserError":
                raise UserError(**error.fields) from None
            raise

    def stream(self, request: Generate, request_id: str) -> RemoteStream:
        """The request's deltas as plain lists. ``drop`` it to abort."""
        return self._channel.ask("generate", request, request_id, window=WINDOW_DELTAS)

    async def perform(self, task: tasks.Task, request_id: str) -> object:
        """The task's answer, as plain values. Cancelling aborts it."""
        return await self._channel.call("perform", task, request_id)

    async def sleep(self) -> int:
        """As ``Sleeping.sleep``; 0 of an engine that cannot."""
        level: int = await self._channel.call("sleep")
        return level

    async def wake(self) -> None:
        """As ``Sleeping.wake``. Raises RemoteError."""
        await self._channel.call("wake")

    async def listen(self, host: str, version: str) -> dict[str, Any]:
        """As ``Listening.begin``."""
        where: dict[str, Any] = await self._channel.call("listen", host, version)
        return where

    async def listen_here(self, version: str) -> dict[str, Any]:
        """As ``Listening.begin_here``."""
        where: dict[str, Any] = await self._channel.call("listen_here", version)
        return where

    async def fronts(self) -> int:
        """Supervisors that are linked to it by ``listen``."""
        number: int = await self._channel.call("fronts")
        return number

    async def stats(self) -> dict[str, Any]:
        """``{"live": n}``: the requests the model is working on."""
        answer: dict[str, Any] = await self._channel.call("stats")
        return answer

    async def metrics(self) -> str:
        """Prometheus text."""
        text: str = await self._channel.call("metrics")
        return text

    async def ended(self) -> None:
        """Until the process has gone, of its own accord or not."""
        await self._channel.closed.wait()

    async def aclose(self, grace_s: float = EXIT_TIMEOUT_S) -> str:
        """Let it free the model, then make sure of it and its children. Says how it ended."""
        try:
            async with asyncio.timeout(grace_s):
                await self._ask_to_leave()
        except TimeoutError:
            pass
        finally:
            self.kill()
        code = await self._process.wait()
        await asyncio.wait([self._reader], timeout=1)  # someone may still hold its output open
        self._reader.cancel()
        await group_ended(self.pid, GROUP_TIMEOUT_S)
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        kill_group(self._process.pid)

    async def _ask_to_leave(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._channel.aclose()
        await self._process.wait()

    def _on_note(self, op: str, args: list[Any]) -> None:
        if op == "progress":
            self._progress(*args)

    async def _read_log(self) -> None:
        """What the libraries print, by lines; read in blocks, for some lines have no end in sight."""
        assert self._process.stdout is not None
        rest = ""
        while block := await self._process.stdout.read(1 << 16):
            *lines, rest = (rest + block.decode(errors="replace")).replace("\r", "\n").split("\n")
            for line in filter(str.strip, lines):
                self.tail.append(line)
                self._log(line)
            rest = rest[-10_000:]


async def _spawn(engine_end: socket.socket, environment: Mapping[str, str]) -> Process:
    """``-P``: nothing in the current folder may pass for a module of ours or of a library's."""
    command = [sys.executable, "-P", "-m", "bindings.ai.engine.server", str(engine_end.fileno())]
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, pass_fds=[engine_end.fileno()], start_new_session=True,
        env={**{name: value for name, value in os.environ.items() if name != "PILOT_API_TOKEN"}, **environment},
    )  # fmt: skip


__all__ = ["EXIT_TIMEOUT_S", "EngineProcess", "Launch", "Log"]
