"""Cron triggers, through the front door: by their address, by the clock, by command, and on a host."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import Host, hosting, tailing, worker
from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = Path(__file__).with_name("cron_worker.py").read_text("utf-8")
CONFIG = '[vars]\nGREETING = "hello"\n[triggers]\ncrons = ["*/5 * * * *", "0 9 * * MON-FRI"]\n'
EVERY = '[vars]\nGREETING = "hello"\n[triggers]\ncrons = ["* * * * *"]\n'
URL = "/cdn-cgi/local/scheduled"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("cron")
    write(folder, WORKER, CONFIG)
    async with serving(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    data = tmp_path_factory.mktemp("host")
    async with hosting(data / "data", "--limit", "event_wall_s=1", env=almost_a_minute(data)) as running:
        yield running


def almost_a_minute(folder: Path, left: float = 10.0) -> dict[str, str]:
    """The environment of a Python whose clock is so many seconds before a full minute."""
    shift = (60 - left) - time.time() % 60
    text = f"import time\nreal = time.time\ntime.time = lambda: real() + {shift}\n"
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


async def runs(ask: Callable[[str], Awaitable[tuple[int, str]]]) -> list[Any]:
    status, text = await ask("/runs")
    assert status == 200, text
    found: list[Any] = json.loads(text)
    return found


@pytest.mark.parametrize("path", [URL, "/cdn-cgi/handler/scheduled", "/cdn-cgi/mf/scheduled"])
async def test_each_address_runs_it(pilot: Served, path: str) -> None:
    assert await pilot.ask(f"{path}?cron=1+2+3+4+*&time=1700000000000") == (200, "ok")
    assert (await runs(pilot.ask))[-1] == ["1 2 3 4 *", 1700000000000]
    assert (await pilot.says('cron "1 2 3 4 *" ok'))["event"] == "note"


async def test_without_parameters_there_is_no_cron_and_the_time_is_now(pilot: Served) -> None:
    before = time.time() * 1000
    assert await pilot.ask(f"{URL}?time=soon") == (200, "ok")
    cron, at = (await runs(pilot.ask))[-1]
    assert (cron, before - 1 <= at <= time.time() * 1000) == ("", True)


async def test_it_is_told_how_it_went(pilot: Served) -> None:
    assert await pilot.ask(f"{URL}?cron=x&format=json") == (200, '{"outcome":"ok","noRetry":false}')
    assert await pilot.ask(f"{URL}?cron=no+retry&format=json") == (200, '{"outcome":"ok","noRetry":true}')
    assert await pilot.ask(f"{URL}?cron=raise") == (500, "exception")
    assert await pilot.ask(f"{URL}?cron=raise&format=json") == (500, '{"outcome":"exception","noRetry":false}')
    assert "as it was told" in str(await pilot.says("script_error"))
    await pilot.says('cron "raise" exception')


async def test_what_it_leaves_behind_goes_on(pilot: Served) -> None:
    assert await pilot.ask(f"{URL}?cron=wait") == (200, "ok")
    while (await runs(pilot.ask))[-1] != ["later", 0]:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/__scheduled", "/cdn-cgi/local/else", "/cdn-cgi/local"])
async def test_other_addresses_are_the_workers(pilot: Served, path: str) -> None:
    assert await pilot.ask(path) == (200, "the worker's")
    assert await pilot.ask(URL, "POST") == (200, "the worker's")


async def test_a_page_of_another_site_runs_nothing(pilot: Served) -> None:
    status, _ = await pilot.ask(URL, headers={"sec-fetch-site": "cross-site", "origin": "https://example.com"})
    assert status == 403


async def test_the_banner_says_that_the_clock_runs_nothing_here(pilot: Served) -> None:
    line = str((await pilot.event("banner"))["engines"])
    assert 'cron "*/5 * * * *"' in line
    assert f"{pilot.url}{URL}" in line


def pilot_cron(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "runtime.cli", "cron", *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)


async def test_the_commands(pilot: Served) -> None:
    listed = await asyncio.to_thread(pilot_cron, pilot.folder, "list", "--json")
    assert [row["cron"] for row in json.loads(listed.stdout)] == ["*/5 * * * *", "0 9 * * MON-FRI"]
    port = pilot.url.rpartition(":")[2].strip("/")
    ran = await asyncio.to_thread(pilot_cron, pilot.folder, "run", "9 9 9 9 *", "--port", port, "--time", "5")
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr
    assert (await runs(pilot.ask))[-1] == ["9 9 9 9 *", 5]
    failed = await asyncio.to_thread(pilot_cron, pilot.folder, "run", "raise", "--port", port)
    assert (failed.returncode, failed.stdout) == (1, "exception\n")
    unclear = await asyncio.to_thread(pilot_cron, pilot.folder, "run", "--port", port)
    assert 'There are: "*/5 * * * *", "0 9 * * MON-FRI"' in unclear.stderr
    nobody = await asyncio.to_thread(pilot_cron, pilot.folder, "run", "x", "--port", "1")
    assert (nobody.returncode, "no pilot dev answers there" in nobody.stderr) == (3, True)


async def test_an_expression_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    write(tmp_path, WORKER, '[triggers]\ncrons = ["* * * * *", "0 0 * * 0"]\n')
    refused = await asyncio.to_thread(pilot_cron, tmp_path, "list")
    assert refused.returncode == 3
    assert "triggers.crons[1]: '0 0 * * 0' is no cron expression: weekday: 0 is not from 1 to 7" in refused.stderr


async def test_by_the_clock_where_that_is_asked_for(tmp_path: Path) -> None:
    """The setting counts once it is saved; a worker without ``scheduled`` is told so."""
    write(tmp_path, WORKER, EVERY)
    async with serving(tmp_path, env=almost_a_minute(tmp_path)) as pilot:
        (tmp_path / "wrangler.toml").write_text(
            f'name = "test"\nmain = "entry.py"\n{EVERY}\n[pilot]\ncron_clock = true\n'
        )
        await pilot.says('cron "* * * * *" ok', within=100)
        [[cron, at]] = await runs(pilot.ask)
        assert (cron, at % 60_000) == ("* * * * *", 0)


async def test_on_a_host_they_run_and_the_tail_tells(host: Host, tmp_path: Path) -> None:
    worker(tmp_path, WORKER, EVERY)
    await host.deploy(tmp_path)
    async with tailing(host, "app") as told:
        await host.says('app: cron "* * * * *" ok', within=100)
        event = await asyncio.wait_for(told.get(), 30)
    assert event["outcome"] == "ok"
    assert event["event"]["cron"] == "* * * * *"
    assert event["event"]["scheduledTime"] % 60_000 == 0
    assert [log["message"] for log in event["logs"]] == [["ran * * * * *"]]
    rows = (await host.api("GET", f"{PILOT}/status"))[1]["result"]["crons"]
    assert [(row["worker"], row["cron"], row["last"]) for row in rows] == [("app", "* * * * *", "ok")]


PILOT = "/client/v4/pilot"


async def test_on_a_host_the_schedules_are_checked_and_kept(host: Host, tmp_path: Path) -> None:
    worker(tmp_path, WORKER, CONFIG, name="kept")
    await host.deploy(tmp_path)
    shown = {"schedules": [{"cron": "*/5 * * * *"}, {"cron": "0 9 * * MON-FRI"}]}
    assert (await host.api("GET", "scripts/kept/schedules"))[1]["result"] == shown
    status, answer = await host.api("PUT", "scripts/kept/schedules", [{"cron": "0 0 * * 0"}])
    assert (status, answer["errors"][0]["code"]) == (400, 10100)
    assert answer["errors"][0]["message"].startswith("invalid cron string: 0 0 * * 0")
    assert (await host.api("GET", "scripts/kept/schedules"))[1]["result"] == shown
    assert (await host.api("PUT", "scripts/none/schedules", []))[1]["errors"][0]["code"] == 10007
    many = [{"cron": f"{at % 60} {at // 60} * * *"} for at in range(251)]
    assert (await host.api("PUT", "scripts/kept/schedules", many))[0] == 400


async def test_on_a_host_one_is_run_by_command_and_ends_at_its_limit(host: Host, tmp_path: Path) -> None:
    worker(tmp_path, WORKER, '[vars]\nGREETING = "hello"\n[triggers]\ncrons = ["3 3 3 3 *"]\n', name="long")
    await host.deploy(tmp_path)
    ran = json.loads(await host.cli("cron", "run", "7 7 7 7 *", "--host", host.url, "--json", cwd=tmp_path))
    assert ran == {"outcome": "ok", "noRetry": False}
    _, answer = await host.api("POST", "scripts/long/schedules/run", {})  # the only one there is; it never returns
    assert answer["result"]["outcome"] == "exception"
    await host.says("an event took more than 1 s (event_wall_s)")
    assert (await host.get("long"))[0] == 200
    assert "3 3 3 3 *" in await host.cli("cron", "list", "--host", host.url, cwd=tmp_path)
