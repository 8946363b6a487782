"""The supervisor's end of it: the process that stands for the worker, and where isolates connect."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from runtime import extras
from runtime.config import Config
from runtime.errors import UserError
from runtime.supervisor.debugging import root
from runtime.wire import Channel

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0


def patient(config: Config) -> Config:
    """The same without limits of time: somebody looks at a request that is stopped."""
    pilot = msgspec.structs.replace(config.pilot, wait_until=86400, head_timeout=0, body_timeout=0, answer_timeout=0)
    return replace(config, pilot=pilot)


class Debugger:
    """``port``: where editors attach, on this machine alone. ``isolates``: those that run."""

    def __init__(self, port: int, isolates: Callable[[], Iterable[Channel]]) -> None:
        self.port, self._isolates = port, isolates
        self._attached = False
        self._server = 0
        self._process: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises UserError: debugpy is not installed, or the port is taken."""
        if find_spec("debugpy") is None:
            raise UserError("needs debugpy, which is not installed", where="--debug", remedy=extras.install("debug"))
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-Xfrozen_modules=off", "-m", root.__name__, str(self.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        async with asyncio.timeout(_START_TIMEOUT_S):
            said = await self._line()
        if "server" not in said:
            await process.wait()
            raise UserError(f"cannot listen on 127.0.0.1:{self.port}: {said.get('error', 'debugpy ended')}",
                            where="--debug", remedy=f"Choose another:  --debug {self.port + 1}")  # fmt: skip
        self._server = said["server"]
        self._follower = asyncio.create_task(self._follow())
        return self

    async def attach(self, isolate: Channel) -> None:
        """Where an editor is attached: have it debug the process at the other end too, with its breakpoints."""
        if self._attached and self._process is not None:
            await isolate.call("debug", self._server, self._process.pid)

    async def __aexit__(self, *_: object) -> None:
        if self._follower is not None:
            self._follower.cancel()
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            if not (await asyncio.wait([asyncio.ensure_future(self._process.wait())], timeout=_STOP_TIMEOUT_S))[0]:
                self._process.kill()

    async def _follow(self) -> None:
        while said := await self._line():
            if said.get("attached") and not self._attached:
                self._attached = True
                await asyncio.gather(*map(self.attach, self._isolates()), return_exceptions=True)
            self._attached = said.get("attached", self._attached)

    async def _line(self) -> dict[str, Any]:
        """Empty: it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line else {}
        return said


__all__ = ["Debugger", "patient"]
