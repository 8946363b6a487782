"""The Cache API, through a worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from hosting import hosting, worker
from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = Path(__file__).with_name("cache_worker.py").read_text("utf-8")
CASES = [line[10:-3] for line in WORKER.splitlines() if line.startswith("async def ") and line.endswith("():")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("cache")
    write(folder, WORKER, "[pilot]\ncache_size = '1MB'\n")
    async with serving(folder) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held"), pilot.log()


async def test_there_are_cases() -> None:
    assert len(CASES) > 15


async def test_the_caches_are_bounded_and_what_is_asked_for_stays(pilot: Served) -> None:
    assert await pilot.ask("/many") == (200, "held"), pilot.log()
    left = int((await pilot.ask("/count"))[1])
    assert 10 <= left <= 20  # of 50 KB each
    [folder] = (pilot.folder / ".pilot/state/cache").iterdir()
    blobs = list((folder / "blobs").iterdir()) if (folder / "blobs").exists() else []
    assert sum(blob.stat().st_size for blob in blobs) <= 1_000_000


class Origin:
    """Another server: it counts, and answers as the path says: ``/status/seconds of max-age/...``."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        _, status, age, *_ = request.path.split("/")
        headers = {"cache-control": f"max-age={age}"} if age.isdigit() else {}
        if request.path == "/200/60/cookie":
            headers["set-cookie"] = "a=b"
        return web.Response(text=f"{self.asked} " * 30_000, status=int(status), headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def origin() -> AsyncIterator[tuple[Origin, str]]:
    """And where it answers."""
    counted, app = Origin(), web.Application()
    app.router.add_get("/{path:.*}", counted.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield counted, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "cf", "kept"),
    [("200/none/a", {"cacheTtl": 60}, True), ("200/0/b", {"cacheTtl": 60, "cacheEverything": True}, True),
     ("200/none/c", {"cacheEverything": True}, True), ("200/60/d", {"cacheEverything": True}, True),
     ("404/none/e", {"cacheEverything": True}, True), ("500/none/f", {"cacheTtlByStatus": {"500-599": 60}}, True),
     ("200/none/g", {"cacheTtlByStatus": {"200": 60}, "cacheKey": "mine"}, True),
     ("200/0/h", {"cacheEverything": True}, False), ("200/60/i", {}, False), ("500/60/j", {"cacheTtl": 60}, False),
     ("200/none/k", {"cacheTtl": 0}, False), ("200/60/cookie", {"cacheTtl": 60}, False),
     ("200/none/l", {"cacheTtlByStatus": {"200-299": -1}, "cacheTtl": 60}, False),
     ("200/60/m", {"cacheEverything": False}, False)],
)  # fmt: skip
async def test_what_is_fetched_is_kept_as_cf_says(
    pilot: Served, origin: tuple[Origin, str], path: str, cf: dict[str, object], kept: bool
) -> None:
    server, url = origin
    first = f"{url}/{path}", cf
    assert not (await fetched(pilot, *first))[0].startswith("HIT")
    if not kept:
        path, cf = f"200/60/after/{path}", {"cacheTtl": 60}  # one that is kept after it
    async with asyncio.timeout(120):
        while not (again := await fetched(pilot, f"{url}/{path}", cf))[0].startswith("HIT"):
            await asyncio.sleep(0.02)
    assert len(set(again[1].split())) == 1, "it is whole"
    asked = server.asked
    assert (await fetched(pilot, f"{url}/{path}", cf))[0] == again[0]
    assert server.asked == asked
    assert (await fetched(pilot, *first))[0].startswith("HIT") is kept


async def fetched(pilot: Served, url: str, cf: dict[str, object], **headers: str) -> tuple[str, str]:
    """(where it comes from and its status, text)."""
    status, text = await pilot.ask("/fetched", "POST", json={"url": url, "cf": cf, "headers": headers})
    assert status == 200, text
    told, _, body = text.partition("\n")
    return told, body


async def test_what_is_one_persons_is_not_kept(pilot: Served, origin: tuple[Origin, str]) -> None:
    server, url = origin
    asked = server.asked
    for name in ("authorization", "cookie", "range"):
        for _ in range(2):
            told, _ = await fetched(pilot, f"{url}/200/60/{name}", {"cacheTtl": 60}, **{name: "bytes=0-"})
            assert not told.startswith("HIT")
    assert server.asked == asked + 6


async def test_a_large_body_passes_through(tmp_path: Path) -> None:
    write(tmp_path, WORKER)
    body = os.urandom(3_000_000)
    async with serving(tmp_path) as pilot:
        assert (await pilot.ask("/keep", "POST", data=BytesIO(body)))[1] == "kept"
        async with pilot.http.get(pilot.url + "/pass") as answer:
            assert answer.headers["content-length"] == str(len(body))
            assert await answer.read() == body


async def test_nothing_is_on_the_disk_of_a_worker_that_keeps_nothing(tmp_path: Path) -> None:
    write(tmp_path, "from workers import Response\ndef fetch(request): return Response('x')\n")
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "x")
        assert not (tmp_path / ".pilot").exists()
        assert pilot.events[0]["bindings"] == []


async def test_it_outlives_a_restart_and_a_kill(tmp_path: Path) -> None:
    write(tmp_path, WORKER)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/lasting") == (200, "held")
        pilot.process.send_signal(signal.SIGKILL)
        await pilot.process.wait()
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/seen") == (200, "here")


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")
async def test_a_workers_caches_on_a_host_are_its_own(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        host.token = (await host.cli("host", "--data", str(host.data), "token", "create", "ci")).strip()
        for name in ("one", "two"):
            await host.deploy(worker(tmp_path / name, WORKER, name=name))
        assert await host.get("one", "/lasting") == (200, "held")
        assert [(await host.get(name, "/seen"))[1] for name in ("one", "two")] == ["here", "-"]
        assert "removed: Cache API one" in await host.cli("delete", "--name", "one", "--yes", "--purge")
        assert await host.get("one") != (200, "here")
        await host.deploy(tmp_path / "one")
        assert await host.get("one", "/seen") == (200, "-")
