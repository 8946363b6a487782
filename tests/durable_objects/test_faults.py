"""``kill -9`` of the server and of the objects' process, under load: nothing acknowledged is lost, or done twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from serving import Served, serving, write

KILLS = int(os.environ.get("KILLS", "6"))
OBJECTS, WRITERS = 8, 16
LONGEST_S = 0.4  # of load after the first acknowledgement, before something is killed
FIRST_S = 60.0  # until that
CONFIG = """
[[durable_objects.bindings]]
name = "THINGS"
class_name = "Thing"
"""
ENTRY = """
import os, time
from workers import URL, DurableObject, Response, WorkerEntrypoint

class Thing(DurableObject):
    async def add(self, number):
        value = (await self.ctx.storage.get("value") or 0) + 1
        await self.ctx.storage.put({"value": value, f"n{number}": value})
        return [value, os.getpid()]

    async def ring(self):
        await self.ctx.storage.setAlarm(time.time() * 1000 + 100)

    async def alarm(self):
        await self.ctx.storage.put("rang", (await self.ctx.storage.get("rang") or 0) + 1)

    async def found(self):
        entries = await self.ctx.storage.list()
        return dict(entries)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, method, name, *more = URL(request.url).pathname.split("/")
        return Response.json(await getattr(self.env.THINGS.getByName(name), method)(*more))
"""


async def test_kills_lose_nothing(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    chance = random.Random(5)
    told = Told()
    for round_ in range(KILLS):
        async with serving(tmp_path) as pilot:
            writers = [asyncio.create_task(told.write_on(pilot, round_ * 1000 + number)) for number in range(WRITERS)]
            await told.more(writers)
            await asyncio.sleep(chance.uniform(0.05, LONGEST_S))
            if chance.random() < 0.5:
                for _ in range(2):
                    _kill_objects(pilot, told)
                    await asyncio.sleep(chance.uniform(0.05, LONGEST_S))
            pilot.process.kill()
            await asyncio.gather(*writers)
    async with serving(tmp_path) as pilot:
        await told.check(pilot)
    print(f"{sum(map(len, told.values.values()))} writes and {len(told.alarms)} alarms acknowledged")


class Told:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, int]] = {}  # object → number → the value it was told
        self.alarms: set[str] = set()
        self.pid: int | None = None

    async def write_on(self, pilot: Served, writer: int) -> None:
        """Until the server is gone."""
        count = 0
        with suppress(aiohttp.ClientError, OSError):
            while True:
                count += 1
                name, number = f"o{(writer + count) % OBJECTS}", f"{writer}-{count}"
                if count % 5:
                    status, answer = await self._ask(pilot, f"add/{name}/{number}")
                    if status == 200:
                        self.values.setdefault(name, {})[number], self.pid = answer
                elif (await self._ask(pilot, f"ring/a{number}"))[0] == 200:
                    self.alarms.add(f"a{number}")

    async def _ask(self, pilot: Served, path: str) -> tuple[int, list[int]]:
        async with pilot.http.get(f"{pilot.url}/{path}") as response:
            return response.status, (await response.json() if response.status == 200 else [])

    async def more(self, writers: list[asyncio.Task[None]]) -> None:
        """Once something more is acknowledged, and an alarm at all: on a busy machine that takes a while."""
        before = sum(map(len, self.values.values()))
        async with asyncio.timeout(FIRST_S):
            while sum(map(len, self.values.values())) == before or not self.alarms:
                assert not all(writer.done() for writer in writers), "the server is gone"
                await asyncio.sleep(0.005)

    async def check(self, pilot: Served) -> None:
        for name, values in self.values.items():
            twice = [value for value, times in Counter(values.values()).items() if times > 1]
            assert twice == [], f"two answers of {name} have one value: two instances"
            found = await pilot.http.get(f"{pilot.url}/found/{name}")
            kept = await found.json()
            assert {f"n{number}": value for number, value in values.items()}.items() <= kept.items()
            assert kept["value"] == len(kept) - 1  # each write was done once
        for name in sorted(self.alarms):
            async with asyncio.timeout(60):
                while (found := await (await pilot.http.get(f"{pilot.url}/found/{name}")).json()) != {"rang": 1}:
                    assert found == {}, found
                    await asyncio.sleep(0.05)


def _kill_objects(pilot: Served, told: Told) -> None:
    with suppress(ProcessLookupError, psutil.Error):
        if told.pid is not None and psutil.Process(told.pid) in psutil.Process(pilot.process.pid).children(True):
            os.kill(told.pid, signal.SIGKILL)
