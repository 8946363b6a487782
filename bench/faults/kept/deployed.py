"""A worker with bindings of every kind, deployed by ``pilot deploy``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bench.faults.machine import Machine

WORKERS = Path(__file__).parents[2] / "workers"
KEEPER = """
name = "keeper"
main = "entry.py"
compatibility_date = "2026-01-01"
d1_databases = [{ binding = "DB", database_name = "kept", database_id = "kept" }]
kv_namespaces = [{ binding = "KV", id = "kept" }]
durable_objects.bindings = [{ name = "THINGS", class_name = "Thing" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Thing"] }]
workflows = [{ name = "steps", binding = "STEPS", class_name = "Steps" }]
[queues]
producers = [{ binding = "JOBS", queue = "jobs" }]
consumers = [{ queue = "jobs", max_batch_timeout = 0 }]
"""
SOCKETS = """
name = "sockets"
main = "entry.py"
compatibility_date = "2026-01-01"
durable_objects.bindings = [{ name = "ROOM", class_name = "Room" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Room"] }]
"""


def written(folder: Path, config: str, script: str) -> Path:
    """The worker's folder. ``script``: the text of its entry."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wrangler.toml").write_text(config)
    (folder / "entry.py").write_text(script)
    return folder


async def deploy(machine: Machine, folder: Path) -> None:
    """Raises AssertionError with what the command says."""
    token = machine.headers["authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "PILOT_HOST": machine.url, "PILOT_API_TOKEN": token}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "deploy", cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def keeper(machine: Machine, folder: Path) -> None:
    await deploy(machine, written(folder, KEEPER, (WORKERS / "keeper.py").read_text()))


async def sockets(machine: Machine, folder: Path) -> None:
    await deploy(machine, written(folder, SOCKETS, (WORKERS / "sockets.py").read_text()))


__all__ = ["SOCKETS", "WORKERS", "deploy", "keeper", "sockets", "written"]
