"""Shared by every end-to-end test: the real `pilot dev`, in a process of its own, on a free port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

READY = 60.0

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in a shell's background; our children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # begun under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Pilot:
    """A running `pilot dev --log-format json`. ``url`` has no trailing slash; ``events`` are its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.url = process, ""
        self.events: list[dict[str, Any]] = []
        self.stderr: list[str] = []
        self._more = asyncio.Condition()
        self._readers = [asyncio.create_task(self._read()), asyncio.create_task(self._complain())]

    async def event(self, name: str, *, since: int = 0, within: float = 30.0, **fields: Any) -> dict[str, Any]:
        """The first log line of that name and those fields, from line ``since`` on; waits for it."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": name, **fields}
            lines = self.events[since:]
            return next((line for line in lines if wanted.items() <= line.items()), None)

        try:
            async with asyncio.timeout(within), self._more:
                await self._more.wait_for(lambda: found() is not None or self.process.returncode is not None)
        except TimeoutError:
            pass
        line = found()
        assert line is not None, f"no {name} {fields} in:\n{self.log()}"
        return line

    def log(self) -> str:
        return "\n".join([*(json.dumps(line) for line in self.events), *self.stderr])

    async def stop(self, number: int = signal.SIGTERM, within: float = 20.0) -> int:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            try:
                async with asyncio.timeout(within):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                raise AssertionError(f"pilot did not stop within {within} s:\n{self.log()}") from None
        await asyncio.wait(self._readers, timeout=5)
        return self.process.returncode or 0

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with suppress(json.JSONDecodeError):
                self.events.append(json.loads(line))
            async with self._more:
                self._more.notify_all()
        await self.process.wait()
        async with self._more:
            self._more.notify_all()

    async def _complain(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.stderr.append(line.decode().rstrip())


StartPilot = Callable[..., Awaitable[Pilot]]


@pytest.fixture
async def start_pilot() -> AsyncIterator[StartPilot]:
    """``await start_pilot(project_or_config, *args, env={...})``: serving, or the test fails with its log."""
    running: list[Pilot] = []

    async def start(project: Path | str, *args: str, env: dict[str, str] | None = None, ready: bool = True) -> Pilot:
        path = Path(project)
        where = ["--config", str(path)] if path.is_file() and path.suffix != ".py" else []
        script = [path.name] if path.suffix == ".py" else []
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "runtime.cli", "dev", *script, *where, "--port", "0", "--log-format", "json",
            *args, cwd=path.parent if path.is_file() else path, env={**os.environ, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )  # fmt: skip
        pilot = Pilot(process)
        running.append(pilot)
        if ready:
            pilot.url = (await pilot.event("ready", within=READY))["url"]
        return pilot

    yield start
    for pilot in running:
        await pilot.stop()


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """``project(entry="...", config="...", **{"other.py": "..."})`` writes a worker's folder and returns it."""

    def write(entry: str, config: str = "", files: dict[str, str] | None = None) -> Path:
        (tmp_path / "wrangler.toml").write_text('name = "test"\nmain = "entry.py"\n' + config)
        for name, text in {"entry.py": entry, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write
