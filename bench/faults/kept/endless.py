"""What never ends by itself: each is ended by a limit that has a name, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp

from bench.faults import load
from bench.faults.kept.deployed import WORKERS, deploy, written
from bench.faults.kept.table import EndedRow
from bench.faults.load import Client
from bench.faults.machine import Machine

_WITHIN_S = 90.0
_ANEW = 3  # a version whose process ends five times on end is given up: it is deployed anew before that
_CONFIG = """
name = "{name}"
main = "entry.py"
compatibility_date = "2026-01-01"
services = [{{ binding = "OTHER", service = "{other}" }}]
durable_objects.bindings = [{{ name = "THINGS", class_name = "Thing" }}]
migrations = [{{ tag = "v1", new_sqlite_classes = ["Thing"] }}]
[limits]
cpu_ms = 300
wall_s = 6
stall_s = 6
"""
_QUEUES = """
[queues]
producers = [{ binding = "JOBS", queue = "endless" }]
consumers = [{ queue = "endless", max_batch_timeout = 0, max_retries = 2 }]
"""
# route → what it is, the limit, the words with which whoever asks, or the log, is told so
CASES = {
    "waits": ("a handler that never returns", "`wall_s`", "a request took more than 6 s (wall_s)"),
    "spins": ("a handler that never pauses", "`cpu_ms`", "more than 300 ms of CPU time (cpu_ms)"),
    "blocks": ("an object that blocks its loop", "`stall_s`", "gave no sign of life for 6 s (stall_s)"),
    "fails": ("a consumer that always fails", "`max_retries`", "after 3 failed attempts"),
    "calls": ("two workers that call each other", "the depth of calls", "Subrequest depth limit exceeded"),
}


async def endless(folder: Path, times: int) -> AsyncIterator[EndedRow]:
    """One row per case."""
    script = (WORKERS / "endless.py").read_text()
    names = "endless-a", "endless-b"
    async with Machine(folder) as machine:
        await load.begin(machine)
        for name, other in zip(names, reversed(names), strict=True):
            config = _CONFIG.format(name=name, other=other) + (_QUEUES if name == names[0] else "")
            await deploy(machine, written(folder / name, config, script))
        for route in CASES:
            yield await _ended(machine, folder / names[0], route, times)


async def _ended(machine: Machine, folder: Path, route: str, times: int) -> EndedRow:
    what, limit, words = CASES[route]
    row, over = EndedRow(what, limit), asyncio.Event()
    clients = load.steady(machine)
    tasks = [asyncio.create_task(client.run(over)) for client in clients]
    await load.heal(clients, time.monotonic())
    while row.times < times:
        if row.times % _ANEW == _ANEW - 1:
            await deploy(machine, folder)
        await _once(row, machine, route, words)
        row.times += 1
    over.set()
    await asyncio.gather(*tasks)
    row.answers, row.errors = _counted(clients)
    row.wrong += [text for client in clients for text in client.errors]
    return row


async def _once(row: EndedRow, machine: Machine, route: str, words: str) -> None:
    began, at = time.monotonic(), machine.log.stat().st_size
    told = await _asked(machine, route)
    with suppress(TimeoutError):
        async with asyncio.timeout(_WITHIN_S):
            while words not in told + _since(machine.log, at):
                await asyncio.sleep(0.05)
            row.took.append(time.monotonic() - began)
            return
    row.wrong.append(f"{route}: {told[-300:]}")


async def _asked(machine: Machine, route: str) -> str:
    try:
        async with asyncio.timeout(_WITHIN_S), machine.http.get(f"{machine.url}/_w/endless-a/{route}") as response:
            return await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


def _since(log: Path, at: int) -> str:
    with log.open("rb") as file:
        file.seek(at)
        return file.read().decode(errors="replace")


def _counted(clients: list[Client]) -> tuple[int, int]:
    return sum(client.answered for client in clients), sum(len(client.errors) for client in clients)


__all__ = ["CASES", "endless"]
