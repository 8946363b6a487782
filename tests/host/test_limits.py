"""What a worker may use on a host, and what becomes of one that takes more, blocks or ends."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, says, worker
from runtime.host.addresses import rule
from runtime.isolate.meter import CpuExceeded, Metered

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]

ENTRY = """
import asyncio, os, time
from workers import Response, URL, fetch as ask

kept = []

async def fetch(request, env):
    path = URL(request.url).pathname
    if path == "/pid": return Response(str(os.getpid()))
    if path == "/block": time.sleep(600)
    if path == "/burn":
        while True:
            until = time.thread_time() + 0.05
            while time.thread_time() < until: pass
            await asyncio.sleep(0)
    if path == "/sleep": await asyncio.sleep(60)
    if path == "/wait": await asyncio.sleep(1)
    if path == "/much":
        async def chunks():
            while True: yield b"x" * 100_000
        return Response(chunks())
    if path == "/ask":
        try:
            for _ in range(9): await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "a"})
        except Exception as error: return Response(str(error))
    if path == "/grow": kept.append(bytearray(40_000_000))
    if path == "/explode": bytearray(1 << 30)
    if path == "/inside": return await ask(env.INSIDE)
    if path == "/exit": os._exit(3)
    return Response("fine")
"""
LIMITS = [
    "cpu_ms=300", "subrequests=5", "wall_s=4", "concurrent=20", "response_bytes=3000000", "memory_mb=200", "stall_s=6",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("limits")
    flags = [word for limit in LIMITS for word in ("--limit", limit)]
    async with hosting(folder / "data", "--isolates", "1", *flags) as running:
        config = f'[ai]\nbinding = "AI"\n[vars]\nINSIDE = "{running.url}/client/v4/user"\n'
        await running.deploy(worker(folder / "app", ENTRY, config))
        await running.deploy(worker(folder / "other", says("untouched"), name="other"))
        yield running


@pytest.mark.parametrize(("path", "code", "told"), [
    ("/burn", "1102", "300 ms of CPU time"), ("/sleep", "1102", "more than 4 s"),
])  # fmt: skip
async def test_time(host: Host, path: str, code: str, told: str) -> None:
    status, text = await host.get("app", path)
    assert (status, code in text) == (503, True), text
    await host.says(told)
    assert await host.get("app") == (200, "fine")


async def test_concurrent_requests(host: Host) -> None:
    answers = await asyncio.gather(*(host.get("app", "/wait") for _ in range(40)))
    assert {status for status, _ in answers} == {200, 503}
    assert any("1015" in text for status, text in answers if status == 503)


async def test_an_answer_that_never_ends(host: Host) -> None:
    got = 0
    with pytest.raises(Exception, match=r"payload|closed|reset|not completed"):  # noqa: PT012 (how it is cut)
        async with host.http.get(f"{host.url}/_w/app/much") as response:
            async for chunk in response.content.iter_any():
                got += len(chunk)
    assert got <= 3_100_000
    await host.says("response_bytes")


async def test_subrequests(host: Host) -> None:
    status, text = await host.get("app", "/ask")
    assert (status, "too many subrequests" in text) == (200, True), text


async def test_memory_beyond_the_limit_is_an_error_of_the_worker(host: Host) -> None:
    assert (await host.get("app", "/explode"))[0] == 500
    await host.says("MemoryError")
    assert await host.get("app") == (200, "fine")


async def test_an_isolate_that_has_grown_is_replaced(host: Host) -> None:
    _, before = await host.get("app", "/pid")
    for _ in range(5):
        await host.get("app", "/grow")
    await host.says("another takes its place")
    async with asyncio.timeout(30):
        while (await host.get("app", "/pid"))[1] == before:
            await asyncio.sleep(0.1)
    assert await host.get("app") == (200, "fine")


async def test_one_that_blocks_is_killed_and_its_neighbours_notice_nothing(host: Host) -> None:
    blocked = asyncio.create_task(host.get("app", "/block"))
    others = 0
    while not blocked.done():
        assert await host.get("other") == (200, "untouched")
        others += 1
    status, text = await blocked
    assert (status, others > 3) == (503, True), text
    line = await host.event("blocked", worker="app", waiting=["GET /_w/app/block"])
    assert line["where"].endswith(", in fetch")
    assert str(host.data) not in line["trace"]  # where a host keeps them is nobody's business
    await host.says("no sign of life")
    await answers_again(host)


async def test_one_that_ends_is_begun_again(host: Host) -> None:
    status, text = await host.get("app", "/exit")
    assert (status, "restarted" in text) == (503, True), text
    await answers_again(host)


async def answers_again(host: Host) -> None:
    """What comes while a killed process is still being reaped may be refused with it."""
    async with asyncio.timeout(30):
        while (found := await host.get("app"))[0] == 503:
            await asyncio.sleep(0.05)
    assert found == (200, "fine")


async def test_the_hosts_own_network_is_out_of_reach(host: Host) -> None:
    status, _ = await host.get("app", "/inside")
    assert status == 500
    await host.says("is not allowed")


async def test_a_version_whose_isolates_keep_ending_gives_way(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("good"), name="crashes")
    await host.deploy(folder)
    ends = "import os, threading\nfrom workers import Response\nthreading.Timer(0.3, os._exit, [7]).start()\n"
    (folder / "entry.py").write_text(ends + "def fetch(): return Response('bad')\n")
    await host.deploy(folder)
    await host.says("its processes keep ending", within=60)
    async with asyncio.timeout(30):
        while await host.get("crashes") != (200, "good"):
            await asyncio.sleep(0.1)
    assert "went back" in await host.cli("deployments", "--json", cwd=folder)


async def test_a_version_that_fails_far_more_often_gives_way(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("good"), name="fails")
    await host.deploy(folder)
    (folder / "entry.py").write_text("def fetch(): raise ValueError('no')")
    await host.deploy(folder)
    async with asyncio.timeout(60):
        while await host.get("fails") != (200, "good"):
            await asyncio.sleep(0.01)
    await host.says("of its requests fail")


async def test_a_killed_isolate_and_a_killed_zygote(host: Host) -> None:
    _, pid = await host.get("app", "/pid")
    os.kill(int(pid), signal.SIGKILL)
    async with asyncio.timeout(30):
        while (await host.get("app", "/pid"))[0] != 200:
            await asyncio.sleep(0.05)
    assert (await host.get("app", "/pid"))[1] != pid


async def test_limits_of_a_worker(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, ENTRY, "[limits]\ncpu_ms = 50\n[vars]\nINSIDE = ''\n", "small")
    await host.deploy(folder)
    assert (await host.get("small", "/burn"))[0] == 503
    await host.says("50 ms of CPU time")
    error = await host.cli("host", "--limit", "cpu=1", "--data", str(tmp_path / "x"), fails=True)
    assert "no limit 'cpu'" in error


@pytest.mark.parametrize(("address", "allowed"), [
    ("1.1.1.1", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.0.0.1", False), ("192.168.1.1", False),
    ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("::1", False),
    ("::", False), ("fe80::1", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False),
    ("64:ff9b::7f00:1", False), ("64:ff9b::a00:1", False), ("2002:7f00:1::", False), ("224.0.0.1", False),
    ("255.255.255.255", False), ("ff02::1", False), ("240.0.0.1", False), ("10.1.2.3", True), ("::ffff:10.1.2.3", True),
])  # fmt: skip
async def test_addresses(address: str, allowed: bool) -> None:
    assert rule(["10.1.0.0/16"])(ipaddress.ip_address(address)) is allowed


async def test_metered_steps() -> None:
    async def steps() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.01)
        except TimeoutError:
            return "timed out"
        return "never"

    async def burns() -> None:
        while True:
            sum(range(100_000))
            await asyncio.sleep(0)

    assert await Metered(steps(), 1000) == "timed out"
    with pytest.raises(CpuExceeded):
        await Metered(burns(), 20)
