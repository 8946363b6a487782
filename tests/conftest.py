"""Shared by every end-to-end test: the real `pilot dev`, in a process of its own, on a free port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dev_server import READY, Pilot, StartPilot

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in a shell's background; our children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # begun under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
