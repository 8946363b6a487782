"""``pilot do list``, and its routes of Cloudflare's API: here, beside a running server, and on a host."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hosting import hosting, worker
from serving import serving, write

ENTRY = """
import time
from workers import URL, DurableObject, Response, WorkerEntrypoint

class Counter(DurableObject):
    async def keep(self):
        self.ctx.storage.kv.put("value", "x" * 10_000)
        return self.ctx.id.toString()

    async def ring(self):
        await self.ctx.storage.setAlarm(time.time() * 1000 + 3_600_000)
        return self.ctx.id.toString()

    async def look(self):
        return str(await self.ctx.storage.get("value"))

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, method, name = URL(request.url).pathname.split("/")
        unnamed = self.env.COUNTERS.newUniqueId()
        stub = self.env.COUNTERS.get(unnamed) if name == "-" else self.env.COUNTERS.getByName(name)
        return Response(await getattr(stub, method)())
"""
CONFIG = """
[[durable_objects.bindings]]
name = "COUNTERS"
class_name = "Counter"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
[pilot]
object_idle = 0.4
"""
OBJECTS = "workers/durable_objects/namespaces"


async def listed(folder: Path, *words: str, fails: bool = False) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "do", "list", *words, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert bool(process.returncode) == fails, (out, err)
    return err.decode() if fails else json.loads(out) if "--json" in words else out.decode()


async def test_objects_are_listed_while_they_are_served_and_after(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    assert await listed(tmp_path) == "there is none\n"
    async with serving(tmp_path) as pilot:
        _, first = await pilot.ask("/keep/visits")
        _, second = await pilot.ask("/ring/bell")
        _, third = await pilot.ask("/keep/-")
        assert await pilot.ask("/look/nothing") == (200, "None")  # keeps nothing, and has no file
        assert await listed(tmp_path) == f"{'test-Counter':40} Counter of test\n"
        for name in ("Counter", "COUNTERS", "test-Counter"):
            rows = await listed(tmp_path, name, "--json")
            assert [row["id"] for row in rows] == sorted([first, second, third]), name
        by_id = {row["id"]: row for row in rows}
        assert [by_id[id]["name"] for id in (first, second, third)] == ["visits", "bell", None]
        assert all(row["size"] > 10_000 for row in rows)
        assert by_id[first]["alarm"] is None
        assert by_id[second]["alarm"] > by_id[second]["lastUsed"]
        await asyncio.sleep(2)  # none is in memory any more
        again = await listed(tmp_path, "Counter", "--json")
        assert [(row["id"], row["name"]) for row in again] == [(row["id"], row["name"]) for row in rows]
        assert await pilot.ask("/look/visits") == (200, "x" * 10_000)
        url = f"{pilot.url}/client/v4/accounts/host/{OBJECTS}/test-Counter/objects?limit=2"
        async with pilot.http.get(url, headers={"authorization": "Bearer any"}) as found:
            page = await found.json()
        assert (len(page["result"]), page["result_info"]) == (2, {"count": 2, "cursor": page["result"][1]["id"]})
    text = await listed(tmp_path, "Counter")
    assert f"{first} " in text
    assert " visits\n" in text
    assert "Nope: no such class has kept anything" in await listed(tmp_path, "Nope", fails=True)


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")
async def test_a_hosts_objects_are_listed(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "worker", ENTRY, CONFIG, name="app"))
        _, id = await host.get("app", "/keep/visits")
        out = await host.cli("do", "list", "Counter", "--host", host.url, "--json")
        [row] = json.loads(out)
        assert (row["id"], row["name"]) == (id, "visits")
        status, found = await host.api("GET", f"/client/v4/accounts/host/{OBJECTS}")
        assert (status, [one["class"] for one in found["result"]]) == (200, ["Counter"])
        host.token = "wrong"
        assert (await host.api("GET", f"/client/v4/accounts/host/{OBJECTS}"))[0] in (401, 403)
