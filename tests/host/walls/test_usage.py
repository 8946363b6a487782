"""What a worker takes of the machine beyond its limits: it is ended, by name, and what stands beside it answers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, says, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = """
import mmap, os, tempfile, threading, time
from workers import Response, URL

kept = []

def shared():  # at once: one that is seen at 80 % is let go before it has too much
    kept.append(mmap.mmap(-1, 300 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE))

def tables():  # pages that are only read are one page of zeroes, but have entries; 0x4000: MAP_NORESERVE
    memory = mmap.mmap(-1, 200 << 30, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)
    for place in range(0, 200 << 30, 2 << 20): memory[place]
    kept.append(memory)

def threads():
    threading.stack_size(256 << 10)
    for _ in range(150): threading.Thread(target=time.sleep, args=[600], daemon=True).start()

def files():
    for _ in range(3): kept.append(tempfile.mkstemp()); os.write(kept[-1][0], bytes(10 << 20))

def removed():
    for _ in range(3): kept.append(tempfile.TemporaryFile()); kept[-1].write(bytes(10 << 20)); kept[-1].flush()

def many():
    for number in range(11_000): open(f"{tempfile.gettempdir()}/{number}", "w").close()

async def fetch(request, env):
    path = URL(request.url).pathname[1:]
    if path == "hang": time.sleep(600)
    if path: globals()[path]()
    return Response(str(os.getpid()))
"""
LIMITS = ("memory_mb=200", "temp_mb=20", "threads=100", "stall_s=60")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("usage")
    async with hosting(folder / "data", "--isolates", "1", *(f"--limit={limit}" for limit in LIMITS)) as running:
        await running.deploy(worker(folder / "other", says("untouched"), name="other"))
        yield running


@pytest.mark.parametrize(("what", "told"), [
    ("shared", "(memory_mb: 200)"), ("threads", "(threads: 100)"), ("files", "(temp_mb: 20)"),
    ("removed", "(temp_mb: 20)"), ("many", "more than 10000 files"), ("tables", "(memory_mb: 200)"),
])  # fmt: skip
async def test_too_much(host: Host, tmp_path: Path, what: str, told: str) -> None:
    since = len(host.events)
    await host.deploy(worker(tmp_path, ENTRY, name=what))
    _, before = await host.get(what)
    await host.get(what, f"/{what}")
    assert told in (await host.says("it is killed and replaced", since=since, within=30))["text"]
    async with asyncio.timeout(30):
        while (found := await host.get(what))[0] == 503:
            await asyncio.sleep(0.05)
    assert found[0] == 200
    assert found[1] != before
    assert await host.get("other") == (200, "untouched")
    assert "crash" not in host.log()


async def test_nothing_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    """With its zygote, at once, while a worker blocks its event loop and so hears of nothing."""
    async with hosting(tmp_path / "data", "--isolates", "1") as host:
        await host.deploy(worker(tmp_path / "app", ENTRY))
        pid = int((await host.get("app"))[1])
        hanging = asyncio.create_task(host.get("app", "/hang"))
        await host.event("blocked", worker="app")
        zygote = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(host.process.pid, signal.SIGKILL)
        os.kill(zygote, signal.SIGKILL)
        async with asyncio.timeout(10):
            while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]:
                await asyncio.sleep(0.05)
        await asyncio.gather(hanging, return_exceptions=True)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """An empty one, where this machine lets us make one; without controllers where another hierarchy has them."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(row[1]) for row in mounts if row[2] == "cgroup2"), None)
    if root is None or not os.access(root / "cgroup.procs", os.W_OK):
        pytest.skip("no cgroup v2 that this user may divide")
    folder = root / f"pilot-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    for left in (*folder.glob("*/"), folder):
        left.rmdir()


async def test_cgroups(tmp_path: Path, cgroup: Path) -> None:
    async with hosting(tmp_path / "data", "--isolates", "1", env={"PILOT_CGROUP": str(cgroup)}) as host:
        await host.says("a cgroup of its own")
        await host.deploy(worker(tmp_path / "app", ENTRY))
        pid = (await host.get("app"))[1]
        assert [pid] in [(folder / "cgroup.procs").read_text().split() for folder in cgroup.glob("isolate-*")]
        assert str(host.process.pid) in (cgroup / "host" / "cgroup.procs").read_text().split()
        offered = (cgroup / "cgroup.controllers").read_text().split()
        bounds = {"memory": ("memory.max", str(2048 << 20)), "pids": ("pids.max", "512")}
        for file, value in [bounds[name] for name in offered if name in bounds]:
            assert (next(cgroup.glob("isolate-*")) / file).read_text().strip() == value
        await host.cli("delete", "--yes", cwd=tmp_path / "app")
        async with asyncio.timeout(30):
            while list(cgroup.glob("isolate-*")):
                await asyncio.sleep(0.05)
