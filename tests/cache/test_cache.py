"""The Cache API, through a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio

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
