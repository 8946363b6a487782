"""A running `pilot dev`, as tests see it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

READY = 60.0


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
