"""Several supervisors behind one port: whoever is asked, the answer is the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from browsing import chromium, show_token
from fronts_support import FRONTS, OBJECT, OBJECT_CONFIG, PID, TRIES, everywhere, fresh, fresh_json, fronts
from hosting import Host, hosting, says, tailing, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="SO_REUSEPORT is Linux's"),
]
KEPT = """
from workers import Response, URL
async def fetch(request, env):
    path = URL(request.url).pathname
    if path == "/kv":
        if request.method == "PUT":
            await env.NOTES.put("a", await request.text())
        return Response(await env.NOTES.get("a"))
    if path == "/r2":
        if request.method == "PUT":
            await env.FILES.put("a", request.body)
            return Response("")
        return Response((await env.FILES.get("a")).body)
    if path == "/d1":
        await env.DB.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
        await env.DB.prepare("INSERT INTO t VALUES (?)").bind(1).run()
        return Response.json(await env.DB.prepare("SELECT count(*) AS n FROM t").first("n"))
    if path == "/limit":
        return Response.json((await env.LIMIT.limit(key="a"))["success"])
    try:
        await env.NOTES.get("")
    except Exception as error:
        return Response(f"{type(error).__name__}: {error}")
"""
KEPT_CONFIG = """
kv_namespaces = [{binding = "NOTES", id = "notes"}]
r2_buckets = [{binding = "FILES", bucket_name = "files"}]
d1_databases = [{binding = "DB", database_name = "db", database_id = "db"}]
ratelimits = [{name = "LIMIT", namespace_id = "1", simple = {limit = 10, period = 60}}]
"""
STREAM = """
from workers import Response
async def fetch(request, env):
    stream = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "a b c d", "stream": True})
    return Response(stream, headers={"content-type": "text/event-stream"})
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    data = tmp_path_factory.mktemp("host") / "data"
    async with hosting(data, "--fronts", str(FRONTS), "--isolates", "1") as running:
        await fronts(running)
        yield running


async def test_a_worker_that_keeps_nothing_runs_on_each(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", PID, name="pid"))
    assert len(await everywhere(host, "/_w/pid/")) == FRONTS


async def test_a_deploy_that_is_acknowledged_answers_everywhere(host: Host, tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        await host.deploy(worker(tmp_path / "app", says(text), name="new"))
        assert await everywhere(host, "/_w/new/") == {text.encode(): TRIES}
    await host.cli("rollback", "--name", "new")
    assert await everywhere(host, "/_w/new/") == {b"two": TRIES}
    await host.cli("delete", "--yes", "--name", "new")
    assert {(await fresh(host, "/_w/new/"))[0] for _ in range(TRIES)} == {404}


async def test_what_is_kept_is_the_same_everywhere(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", KEPT, KEPT_CONFIG, name="kept"))
    for text in (b"one", b"two"):
        await fresh(host, "/_w/kept/kv", "PUT", data=text)
        assert await everywhere(host, "/_w/kept/kv") == {text: TRIES}
    large = os.urandom(1 << 20)
    for _ in range(4):
        await fresh(host, "/_w/kept/r2", "PUT", data=large)
    assert await everywhere(host, "/_w/kept/r2") == {large: TRIES}
    assert set(await everywhere(host, "/_w/kept/d1")) == {str(n).encode() for n in range(1, TRIES + 1)}
    assert await everywhere(host, "/_w/kept/limit") == {b"true": 10, b"false": TRIES - 10}
    assert len(wrong := await everywhere(host, "/_w/kept/wrong")) == 1, wrong
    assert b"TypeError" in next(iter(wrong)), "an error is the same, too"


async def test_objects_are_one_wherever_they_are_asked(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", OBJECT, OBJECT_CONFIG, name="object"))
    body = b"x" * 300_000  # more than goes along with a connection
    answers = [json.loads((await fresh(host, "/_w/object/", "POST", data=body))[1]) for _ in range(TRIES)]
    assert answers == [[n, len(body), "127.0.0.1"] for n in range(1, TRIES + 1)]
    for n in range(10):
        async with aiohttp.ClientSession() as http, http.ws_connect(host.url + "/_w/object/") as socket:
            await socket.send_str(str(n))
            assert await socket.receive_str(timeout=30) == f"heard {n}"


async def test_one_connection_may_ask_for_all(host: Host, tmp_path: Path) -> None:
    """A request for a worker of each front, then for one of the first alone, then for the first again."""
    await host.deploy(worker(tmp_path / "a", says("here"), name="here"))
    await host.deploy(worker(tmp_path / "b", OBJECT, OBJECT_CONFIG, name="there"))
    for _ in range(10):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
            for name in ("here", "there", "here", "there"):
                async with http.post(f"{host.url}/_w/{name}/", data=b"abc") as response:
                    said = await response.text()
                    assert (said == "here") if name == "here" else (json.loads(said)[1] == 3)


async def test_tokens_come_from_each(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", STREAM, 'ai = {binding = "AI"}', name="stream"))
    answers = await everywhere(host, "/_w/stream/")
    assert len({body.count(b'"response"') for body in answers}) == 1
    assert all(body.endswith(b"data: [DONE]\n\n") for body in answers)


async def test_tails_and_metrics_know_of_all(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", says("x"), name="told"))
    before = answered(await fresh(host, "/__pilot/metrics"))
    async with tailing(host, "told") as events:
        await everywhere(host, "/_w/told/")
        async with asyncio.timeout(30):
            for _ in range(TRIES):
                assert (await events.get())["event"]["response"]["status"] == 200
    assert answered(await fresh(host, "/__pilot/metrics")) - before >= TRIES
    row = next(row for row in (await status(host))["workers"] if row["name"] == "told")
    assert (row["requests"], row["isolates"]) == (TRIES, FRONTS)


def answered(told: tuple[int, bytes]) -> float:
    lines = [line for line in told[1].decode().splitlines() if line.startswith("pilot_http_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def status(host: Host) -> Any:
    return (await fresh_json(host, "/client/v4/pilot/status"))[1]["result"]


@pytest.mark.parametrize("number", [2, 1])
async def test_one_that_is_killed_is_begun_again_and_the_others_go_on(host: Host, tmp_path: Path, number: int) -> None:
    await host.deploy(worker(tmp_path / "a", says("up"), name="up"))
    await host.deploy(worker(tmp_path / "b", OBJECT, OBJECT_CONFIG, name="only"))
    before = await fronts(host)
    os.kill(before[number], signal.SIGKILL)
    await asyncio.sleep(0.2)  # what the kernel had given to it is lost with it
    assert await everywhere(host, "/_w/up/") == {b"up": TRIES}
    assert (await fresh(host, "/_w/only/", "POST", data=b"abc"))[0] == 200, "it is waited for"
    after = await fronts(host, {before[number]})
    assert {at: pid for at, pid in after.items() if at != number} == {
        at: pid for at, pid in before.items() if at != number
    }
    await host.deploy(worker(tmp_path / "a", says("anew"), name="up"))
    assert await everywhere(host, "/_w/up/") == {b"anew": TRIES}


async def test_the_explorer_has_the_requests_and_traces_of_all(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path / "app", PID, name="looked"))
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{host.url}/__pilot/#traces")
        await show_token(page, host.token)
        await expect(page.get_by_role("status")).to_have_text("0 traces")
        await asyncio.sleep(2)  # until each front knows that somebody looks
        assert len(await everywhere(host, "/_w/looked/")) == FRONTS
        await expect(page.get_by_role("button", name="GET /_w/looked/")).to_have_count(TRIES)
        await page.get_by_role("link", name="Requests").click()
        await expect(page.get_by_role("status")).to_have_text("0 requests")
        await everywhere(host, "/_w/looked/")
        rows = page.get_by_role("region", name="Requests and log lines").locator("tbody tr")
        await expect(rows.filter(has_text="/_w/looked/")).to_have_count(TRIES)
