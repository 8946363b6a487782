"""Tail Workers on a real host: who is told of what, what is lost, and that it comes to an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import Host, hosting, says, worker
from wrangler_support import on_host

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
CONSUMER, PRODUCER = (HERE / "consumer.py").read_text("utf-8"), (HERE / "producer.py").read_text("utf-8")
NAMED = '[vars]\nNAME = "logs"\n'
TOLD = '[[tail_consumers]]\nservice = "{}"\n'
CRON = '[triggers]\ncrons = ["0 0 1 1 *"]\n'

Item = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    data = tmp_path_factory.mktemp("host")
    async with hosting(data / "data", "--isolates", "1") as running:
        await running.deploy(worker(data / "logs", CONSUMER, NAMED + TOLD.format("logs"), name="logs"))
        await running.deploy(worker(data / "shop", PRODUCER, TOLD.format("logs") + CRON, name="shop"))
        yield running


async def told(host: Host, want: Callable[[Item], bool], worker: str = "logs") -> Item:
    """The first item that is as wanted; every look is an item itself."""
    async with asyncio.timeout(60):
        while True:
            status, text = await host.get(worker, "/seen")
            assert status == 200, text
            for item in json.loads(text):
                if want(item):
                    return dict(item)
            await asyncio.sleep(0.05)


def of(path: str) -> Callable[[Item], bool]:
    return lambda item: ((item["event"] or {}).get("request") or {}).get("url", "").endswith(path)


def prints(line: str) -> Callable[[Item], bool]:
    return lambda item: any(line == entry["message"][0] for entry in item["logs"])


async def row(host: Host, name: str) -> Item:
    _, envelope = await host.api("GET", "/client/v4/pilot/status")
    return next(dict(row) for row in envelope["result"]["tail consumers"] if row["worker"] == name)


async def test_a_request_is_told_of(host: Host) -> None:
    assert (await host.get("shop", "/good", headers={"authorization": "Bearer hidden", "x-plain": "shown"}))[1] == "x"
    item = await told(host, of("/good"))
    assert (item["scriptName"], item["outcome"], item["exceptions"], item["truncated"]) == ("shop", "ok", [], False)
    assert item["event"]["request"]["method"] == "GET"
    assert item["event"]["response"] == {"status": 200}
    headers = item["event"]["request"]["headers"]
    assert (headers["authorization"], headers["x-plain"]) == ("REDACTED", "shown")
    (line,) = (await told(host, prints("asked good")))["logs"]
    assert line["level"] == "log"


async def test_what_is_raised_is_told_of(host: Host) -> None:
    assert (await host.get("shop", "/fails"))[0] == 500
    item = await told(host, of("/fails"))
    assert item["outcome"] == "exception"
    (raised,) = item["exceptions"]
    assert (raised["name"], raised["message"]) == ("ValueError", "on purpose")


async def test_what_is_printed_after_the_answer_is_told_of(host: Host) -> None:
    await host.get("shop", "/late")
    assert (await told(host, prints("after the answer")))["scriptName"] == "shop"


async def test_a_cron_is_told_of(host: Host) -> None:
    status, _ = await host.api("POST", "scripts/shop/schedules/run", {"cron": "0 0 1 1 *", "time": 1})
    assert status == 200
    item = await told(host, lambda item: "cron" in (item["event"] or {}))
    assert item["event"] == {"cron": "0 0 1 1 *", "scheduledTime": 1}


async def test_an_item_has_no_more_lines_than_fit(host: Host) -> None:
    await host.get("shop", "/big")
    item = await told(host, lambda item: item["scriptName"] == "shop" and item["truncated"])
    assert len(json.dumps(item)) < 300_000


async def test_a_worker_may_be_its_own_consumer_and_its_tail_is_no_event(host: Host) -> None:
    item = await told(host, of("/seen"))
    assert item["scriptName"] == "logs"
    before = None
    async with asyncio.timeout(60):
        while (now := await row(host, "logs"))["waiting"] or now != before:  # nobody asks: it comes to an end
            before = now
            await asyncio.sleep(1.5)
    assert before == await row(host, "logs")


async def test_many_requests_come_in_batches_and_all_of_them(host: Host) -> None:
    before = (await row(host, "logs"))["delivered"]
    await asyncio.gather(*(host.get("shop", "/many") for _ in range(150)))
    async with asyncio.timeout(60):
        while (now := await row(host, "logs"))["waiting"] or now["delivered"] < before + 150:
            await asyncio.sleep(0.05)
    assert now["lost"] == 0
    batches = json.loads((await host.get("logs", "/batches"))[1])
    assert sum(batches) >= before + 150
    assert 1 < max(batches) <= 100


async def test_a_tail_that_fails_is_said_and_counted_and_the_answer_is_as_it_was(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "quits", CONSUMER, NAMED, name="quits"))
    await host.deploy(worker(tmp_path / "other", PRODUCER, TOLD.format("quits"), name="other"))
    assert await host.get("other", "/break") == (200, "x")
    await host.says("told not to")
    await host.says("quits: 1 trace item is lost")
    assert (await row(host, "quits"))["lost"] == 1
    assert await host.get("other", "/mended") == (200, "x")
    await told(host, of("/mended"), "quits")
    assert (await row(host, "quits"))["of"] == "other"


async def test_a_consumer_that_is_not_there_or_has_no_tail_is_said(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "alone", PRODUCER, TOLD.format("nobody"), name="alone"))
    assert await host.get("alone") == (200, "x")
    await host.says("nobody: there is no such worker on this host")
    await host.deploy(worker(tmp_path / "nobody", says("here"), name="nobody"))
    assert await host.get("alone") == (200, "x")
    await host.says("this script has no tail handler")


async def test_who_is_no_consumer_any_more_is_told_of_nothing(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "left", CONSUMER, NAMED, name="left"))
    await host.deploy(worker(tmp_path / "goes", PRODUCER, TOLD.format("left"), name="goes"))
    await host.get("goes", "/before")
    await told(host, of("/before"), "left")
    await host.deploy(worker(tmp_path / "goes", PRODUCER, TOLD.format("logs"), name="goes"))
    await host.get("goes", "/afterwards")
    await told(host, of("/afterwards"))
    assert "/afterwards" not in (await host.get("left", "/seen"))[1]


SLOW = """
from workers import Response, WorkerEntrypoint
import asyncio

goes_on = asyncio.Event()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        goes_on.set()
        return Response("x")

    async def tail(self, events):
        print("has", len(events))
        await goes_on.wait()
"""


async def test_what_finds_no_place_is_counted_and_no_answer_waits_for_it(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "slow", SLOW, name="slow"))
    await host.deploy(worker(tmp_path / "busy", says("x"), TOLD.format("slow"), name="busy"))
    assert await host.get("busy") == (200, "x")
    await host.says("has 1")  # and waits
    for _ in range(11):
        answers = await asyncio.gather(*(host.get("busy") for _ in range(100)))
        assert set(answers) == {(200, "x")}
    now = await row(host, "slow")
    async with asyncio.timeout(30):
        while (now := await row(host, "slow"))["lost"] < 100:
            await asyncio.sleep(0.05)
    assert (now["delivered"], now["waiting"], now["lost"]) == (0, 1000, 100)
    await host.get("slow")
    await host.says("slow: 100 trace items are lost")
    async with asyncio.timeout(60):
        while (now := await row(host, "slow"))["delivered"] < 1001:
            await asyncio.sleep(0.05)
    assert now["lost"] == 100


async def test_wrangler_deploys_it(host: Host, tmp_path: Path) -> None:
    config = 'compatibility_date = "2026-01-01"\ncompatibility_flags = ["python_workers"]\n' + TOLD.format("logs")
    folder = worker(tmp_path, PRODUCER, config, name="wrangled")
    await on_host("4.164.0", "deploy", url=host.url, token=host.token, folder=folder)
    assert await host.get("wrangled", "/by_wrangler") == (200, "x")
    assert (await told(host, of("/by_wrangler")))["scriptName"] == "wrangled"


async def test_what_cannot_be_read_is_refused(host: Host, tmp_path: Path) -> None:
    text = "".join(TOLD.format(f"w{number}") for number in range(11))
    error = await host.cli("deploy", cwd=worker(tmp_path, PRODUCER, text), fails=True)
    assert "a worker has 10 at most" in error
