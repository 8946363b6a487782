"""What hinders a host without ending it: clients that dawdle, a database that somebody holds, a disk that is full."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import connect

from bench.faults import load
from bench.faults.changes import API, Changing
from bench.faults.disk import fill, may_mount, seen_by, small_disk
from bench.faults.machine import Machine
from bench.faults.table import Row

_HELD_S = (0.2, 8.0)  # seconds that the registry is held: SQLite itself gives up after five
_DISK_MB = 8


async def slow_clients(folder: Path, count: int, seconds: float, chance: random.Random) -> Row:
    """Half a head, and a byte a second of a request's body and of an upload's."""
    row = Row("clients that send a byte a second", count)

    async def dawdle(machine: Machine) -> None:
        heads = (
            "GET /_w/steady-a/ HTTP/1.1\r\nhost: x\r\nx-half: ",
            "POST /_w/changed-0/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n",
            f"PUT {API}/changed-0 HTTP/1.1\r\nhost: localhost\r\nauthorization: {machine.headers['authorization']}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 100\r\n\r\n",
        )
        sockets = []
        for number in range(count):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", int(machine.url.rpartition(":")[2]))
                writer.write(heads[number % len(heads)].encode())
                sockets.append(writer)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(1)
            for writer in sockets:
                with suppress(OSError):
                    writer.write(b"x")
        for writer in sockets:
            writer.transport.abort()

    return await _hindered(row, Machine(folder), chance, dawdle)


async def held_registry(folder: Path, times: int, chance: random.Random, until: float) -> Row:
    """Another process's write that takes its time, as on a disk that does."""
    row = Row("the registry's file is held, for up to 8 s")

    async def hold(machine: Machine) -> None:
        while row.times < times and time.monotonic() < until:
            await asyncio.to_thread(_held, machine.data / "host.db", chance.uniform(*_HELD_S))
            await asyncio.sleep(chance.random())
            row.times += 1

    return await _hindered(row, Machine(folder), chance, hold)


async def full_disk(folder: Path, steps: int, chance: random.Random, until: float) -> Row | None:
    """With no byte left, a page, two ...: each write of a change fails in turn. None: there is no disk to be had."""
    if not may_mount():
        return None
    row = Row("the disk is full, at each write in turn")

    async def filled(machine: Machine) -> None:
        data = seen_by(machine.process.pid, machine.data)
        while row.times < steps and time.monotonic() < until:
            filler = await asyncio.to_thread(fill, data, 4096 * row.times)
            began = [worker.counts.total() for worker in row.workers]
            while any(one.counts.total() < before + 3 for one, before in zip(row.workers, began, strict=True)):
                await asyncio.sleep(0.05)
            filler.unlink()
            row.times += 1

    return await _hindered(row, Machine(folder, small_disk(folder / "data", _DISK_MB)), chance, filled)


async def _hindered(
    row: Row, machine: Machine, chance: random.Random, hinder: Callable[[Machine], Awaitable[None]]
) -> Row:
    async with machine:
        await load.begin(machine)
        row.workers = [Changing(machine, f"changed-{number}", chance) for number in range(2)]
        clients, over = [*load.steady(machine), load.model(machine)], asyncio.Event()
        tasks = [asyncio.create_task(one.run(over)) for one in (*row.workers, *clients)]
        await load.heal(clients, time.monotonic())
        await hinder(machine)
        row.healed.append(await load.heal(clients, time.monotonic()))
        over.set()
        await asyncio.gather(*tasks)
        row.add(row.workers, clients)
    return row


def _held(file: Path, seconds: float) -> None:
    with closing(connect(file, timeout=60, isolation_level=None)) as registry:
        registry.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        registry.execute("ROLLBACK")


__all__ = ["full_disk", "held_registry", "slow_clients"]
