"""The Worker Loader in ``pilot dev``: each case is a function of loader_worker.py."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
WORKER = (Path(__file__).parent / "loader_worker.py").read_text()
CONFIG = """
[[worker_loaders]]
binding = "LOADER"
[[kv_namespaces]]
binding = "KV"
id = "kv"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Runner"]
[pilot]
loaded_workers = 6
loaded_idle = 2
"""
APART = {"answers", "pid_of", "hold", "passed_on", "it_is_shut_in"}
CASES = [
    name for name in re.findall(r"^async def (\w+)\(env, ctx, request\):", WORKER, re.MULTILINE) if name not in APART
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("loader")
    write(folder, WORKER, CONFIG)
    async with serving(folder, env={"PRIVATE_TO_ME": "1"}) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n"), pilot.log()[-3000:]


async def test_it_is_shut_in(pilot: Served) -> None:
    """In dev as on a host: neither the person's files nor their environment, no network of its own, no process."""
    status, text = await pilot.ask("/it_is_shut_in")
    assert status == 200, text
    found = json.loads(text)
    if os.uname().sysname == "Linux":
        assert not [what for what, outcome in found.items() if outcome.startswith("did it")], found


async def test_a_request_and_its_answer_pass_through(pilot: Served) -> None:
    status, text = await pilot.ask("/passed_on?a=1", "POST", data=b"sent")
    assert status == 200
    assert text.startswith(f"POST {pilot.url}/passed_on?a=1 sent 1 ")


async def test_what_it_prints_is_shown_under_its_name(pilot: Served) -> None:
    await pilot.ask("/pid_of?id=printing")
    line = await pilot.says("'worker': 'test/printing'")
    assert (line["event"], line["text"]) == ("output", "loaded")


async def test_one_at_rest_goes_and_comes_again(pilot: Served) -> None:
    _, pid = await pilot.ask("/pid_of?id=resting")
    assert (await pilot.ask("/pid_of?id=resting"))[1] == pid
    async with asyncio.timeout(30):
        while psutil.pid_exists(int(pid)):
            await asyncio.sleep(0.1)
    status, again = await pilot.ask("/pid_of?id=resting")
    assert (status, again != pid) == (200, True)


async def test_so_many_live_at_a_time(pilot: Served) -> None:
    """The one that has rested longest makes room; where all are at work, the next is told so."""
    held = [asyncio.create_task(pilot.ask(f"/hold?id=held{number}")) for number in range(6)]
    await asyncio.sleep(1.2)
    status, text = await pilot.ask("/pid_of?id=seventh")
    assert status == 500
    assert "6 Dynamic Workers are at work (loaded_workers)" in text
    assert {await task for task in held} == {(200, "slept")}
    async with asyncio.timeout(30):
        while (await pilot.ask("/pid_of?id=seventh"))[0] != 200:
            await asyncio.sleep(0.2)


async def test_a_reload_takes_what_was_loaded_with_it(pilot: Served) -> None:
    _, pid = await pilot.ask("/pid_of?id=kept")
    assert await pilot.save(WORKER.replace('print("loaded"', 'print("loaded anew"'))
    status, other = await pilot.ask("/pid_of?id=kept")
    assert (status, other != pid) == (200, True)
    await pilot.says("loaded anew")
    async with asyncio.timeout(30):
        while psutil.pid_exists(int(pid)):
            await asyncio.sleep(0.1)
    assert await pilot.save(WORKER)


async def test_nothing_of_it_is_left_on_the_disk(pilot: Served) -> None:
    async with asyncio.timeout(60):
        while list((pilot.folder / ".pilot/state/worker_loaders").glob("code-*")):
            await asyncio.sleep(0.2)


async def test_the_banner_says_so(pilot: Served) -> None:
    banner = await pilot.event("banner")
    assert {"name": "LOADER", "what": "Worker Loader", "where": "6 at a time"} in banner["bindings"]
