"""Tail Workers in `pilot dev` with several workers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hosting import worker
from serving import Served, connect, serving

pytestmark = pytest.mark.asyncio

HERE = Path(__file__).parent
CONSUMER, PRODUCER = (HERE / "consumer.py").read_text("utf-8"), (HERE / "producer.py").read_text("utf-8")
TOLD = '[[tail_consumers]]\nservice = "logs"\n'


async def told(pilot: Served, name: str) -> dict[str, Any]:
    """The item whose text has this in it."""
    async with asyncio.timeout(60):
        while True:
            for item in json.loads((await pilot.ask("/_w/logs/seen"))[1]):
                if name in json.dumps(item):
                    return dict(item)
            await asyncio.sleep(0.05)


async def test_workers_side_by_side(tmp_path: Path) -> None:
    worker(tmp_path / "shop", PRODUCER, TOLD + '[triggers]\ncrons = ["0 0 1 1 *"]\n', name="shop")
    worker(tmp_path / "logs", CONSUMER, '[vars]\nNAME = "logs"\n', name="logs")
    async with serving(tmp_path, "-c", "shop/wrangler.toml", "-c", "logs/wrangler.toml") as pilot:
        assert await pilot.ask("/good") == (200, "x")
        item = await told(pilot, "/good")
        assert (item["scriptName"], item["outcome"]) == ("shop", "ok")
        assert (await told(pilot, "asked good"))["logs"]
        assert (await pilot.ask("/fails"))[0] == 500
        assert (await told(pilot, "/fails"))["exceptions"][0]["message"] == "on purpose"
        assert await pilot.ask("/parts") == (200, "ab")
        assert "in between" in json.dumps((await told(pilot, "/parts"))["logs"])
        _, writer = await connect(pilot)
        writer.write(b"GET /waits HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await pilot.says("asked waits")
        writer.close()
        assert (await told(pilot, "/waits"))["outcome"] == "canceled"
        assert await pilot.ask("/cdn-cgi/local/scheduled?cron=x") == (200, "ok")
        assert (await told(pilot, '"cron"'))["event"]["cron"] == "x"
        worker(tmp_path / "shop", PRODUCER, name="shop")  # told no more, once that is read
        await pilot.says("reload")
        await pilot.ask("/afterwards")
        assert "/afterwards" not in (await pilot.ask("/_w/logs/seen"))[1]
