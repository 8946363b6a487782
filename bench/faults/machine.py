"""A real ``pilot host`` on one data folder and one port, which is killed and begun again as often as one likes."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from bench.faults.disk import seen_by

_START_TIMEOUT_S = 120.0
_LEAVE_S = 5.0  # seconds that a process whose host is gone has to go as well
PATIENCE_S = 120.0  # seconds for any one answer
ZYGOTE, ENGINE = "runtime.isolate.zygote", "bindings.ai.engine.server"


class Machine:
    """``before`` runs in each new process, before it is the host."""

    def __init__(self, folder: Path, before: Callable[[], None] | None = None) -> None:
        self.data, self.log = folder / "data", folder / "log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._before = before
        self.process: subprocess.Popen[bytes]
        self.http: aiohttp.ClientSession

    async def __aenter__(self) -> Machine:
        self.http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S), connector=aiohttp.TCPConnector(limit=0)
        )
        await self.start()
        token = seen_by(self.process.pid, self.data / "token")
        self.headers = {"authorization": f"Bearer {token.read_text().strip() if token.exists() else 'any'}"}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.process.wait, 60)
        self.process.kill()

    async def start(self) -> None:
        """Until its port accepts: what it restores may take longer."""
        port = self.url.rpartition(":")[2]
        words = [*self._words(), "--port", port, "--engine", "echo", "--log-format", "json", "--drain", "5"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "runtime.cli", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=self._before,
            )  # fmt: skip
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await self._accepts(int(port)):
                assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
                await asyncio.sleep(0.02)

    def kill(self) -> list[psutil.Process]:
        """The host itself, by ``SIGKILL``; what it had begun."""
        left = self.begun()
        self.process.kill()
        self.process.wait()
        return left

    def begun(self, module: str = "") -> list[psutil.Process]:
        """Processes below the host; those of one ``module`` alone."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if _is_alive(child) and (not module or module in _command(child))]
        return []

    def isolates(self) -> int:
        return sum(len(zygote.children(recursive=True)) for zygote in self.begun(ZYGOTE))

    async def orphans(self, left: Sequence[psutil.Process]) -> int:
        """How many of these outlive what they were begun by."""
        until = time.monotonic() + _LEAVE_S
        while (alive := [process for process in left if _is_alive(process)]) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return len(alive)

    def _words(self) -> list[str]:
        return ["host", "--data", str(self.data), "--isolates", "2"]

    async def _accepts(self, port: int) -> bool:
        with suppress(OSError):
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            return True
        return False


class Dev(Machine):
    """``pilot dev`` of the worker in ``folder / "worker"``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._worker = folder / "worker"

    def _words(self) -> list[str]:
        return ["dev", "-c", str(self._worker / "wrangler.toml")]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


__all__ = ["ENGINE", "PATIENCE_S", "ZYGOTE", "Dev", "Machine"]
