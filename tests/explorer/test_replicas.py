"""Replicas on the explorer's page: how each fares and what it waits for, and which one a request was asked of."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from families import ENGINE, running
from serving import Served, serving, write

ENTRY = """
from workers import Response
async def fetch(request, env):
    model = request.url.rpartition("/")[2]
    answer = await env.AI.run(f"own/{model}", {"prompt": "hi there", "max_tokens": 2})
    return Response(answer["response"])
"""
MODELS = """
"own/pair": {engine: echo, model: pair, echo: {rate: 1, tokens: 2}, replicas: 2, gpus: 0.5}
"own/late": {engine: echo, model: late, gpus: 1}
"own/huge": {engine: echo, model: huge, gpus: 5}
"""


@pytest.fixture
async def pilot(tmp_path: Path) -> AsyncIterator[Served]:
    """On a machine with one GPU."""
    write(tmp_path, ENTRY, 'ai = {binding = "AI"}\n[pilot]\nload_timeout = 3\n', {"models.yaml": MODELS})
    async with serving(tmp_path, env={"CUDA_VISIBLE_DEVICES": "7"}) as pilot:
        yield pilot


async def test_each_replica_and_what_it_waits_for(pilot: Served, page: Page) -> None:
    reading = asyncio.create_task(pilot.ask("/pair"))
    await pilot.says("pair #1 is ready")
    assert (await pilot.ask("/huge"))[0] == 500
    late = asyncio.create_task(pilot.ask("/late"))
    await page.goto(f"{pilot.url}/__pilot/#figures")
    engines = page.get_by_role("region", name="engines").locator("tbody tr")
    table = engines.filter(has_text=re.compile("pair #0"))
    await expect(table).to_have_text(re.compile(r"ready.*own/pair0—70"))  # replica, node, GPU, restarts
    await expect(engines.filter(has_text="huge")).to_contain_text("needs 5 GPUs, and this machine has 1")
    await expect(engines.filter(has_text="late")).to_contain_text("it waits for 1 GPU")
    await expect(engines.filter(has_text="late")).to_contain_text("pending")
    os.kill(running(pilot.process.pid, ENGINE)[0].pid, signal.SIGKILL)
    await pilot.says("its process ended")
    await page.get_by_role("button", name="Refresh").click()
    await expect(engines.filter(has_text=re.compile(r"own/pair\d—71"))).to_have_count(1)
    await expect(page.get_by_role("region", name="Figures")).to_contain_text("pilot_ai_replica_restarts_total")
    await asyncio.gather(reading, late)


async def test_a_trace_names_the_replica_and_the_one_that_was_lost(pilot: Served, page: Page) -> None:
    await pilot.ask("/pair")
    await pilot.says("pair #1 is ready")
    await page.goto(f"{pilot.url}/__pilot/#traces")
    await expect(page.get_by_role("status")).to_have_text("0 traces")
    asking = asyncio.create_task(pilot.ask("/pair"))
    async with asyncio.timeout(10):
        while not (busy := await in_hand(pilot)):
            await asyncio.sleep(0.02)
    os.kill(running(pilot.process.pid, ENGINE)[int(busy[0][-1])].pid, signal.SIGKILL)
    assert await asking == (200, "hi there")
    await page.get_by_role("button", name="GET /pair").click()
    spans = page.get_by_role("region", name="Spans of GET /pair")
    lost, asked = (f"engine {name}" for name in (busy[0], other(busy[0])))
    await expect(spans.get_by_role("rowheader").filter(has_text=lost)).to_contain_text("failed: EngineLost")
    await expect(spans.get_by_role("rowheader").filter(has_text=asked)).not_to_contain_text("failed")
    await spans.locator("summary").last.click()
    await expect(spans.get_by_text("pilot.replica").last).to_be_visible()


def other(name: str) -> str:
    return name[:-1] + str(1 - int(name[-1]))


async def in_hand(pilot: Served) -> list[str]:
    """The replicas that work."""
    async with pilot.http.get(f"{pilot.url}/__pilot/state", headers={"authorization": "Bearer any"}) as answer:
        rows = (await answer.json(content_type=None))["status"]["engines"]
    return [row["name"] for row in rows if row["live"]]
