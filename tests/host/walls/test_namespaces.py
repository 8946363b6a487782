"""``pilot host --namespaces``: a worker sees no network, no other process, and no path but its own places."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from runtime.isolate.sandbox import namespaces

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = """
import os, tempfile, time
from workers import Response, URL

async def fetch(request, env):
    path = URL(request.url).pathname[1:]
    if path == "exit": os._exit(3)
    if path == "hang": time.sleep(600)
    return Response.json({
        "pid": os.getpid(), "seen": [path for path in env.PATHS if os.path.lexists(path)],
        "own": os.path.exists(__file__), "temp": open(tempfile.mkstemp()[1], "w").write("x"),
        "links": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid", "mnt", "user", "ipc", "uts")},
    })
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    if missing := namespaces.missing():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("apart")
    async with hosting(folder / "data", "--isolates", "1", "--namespaces") as running:
        paths = [str(running.data / "secrets.key"), "/etc/passwd", "/home", "/run", f"/proc/{running.process.pid}"]
        await running.deploy(worker(folder / "app", ENTRY, f"[vars]\nPATHS = {json.dumps(paths)}\n"))
        yield running


def isolates(host: Host) -> list[int]:
    """Process ids, as this machine has them."""
    children = Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()
    return [int(pid) for child in children for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()]


async def test_what_it_sees(host: Host) -> None:
    await host.says("namespaces (no network")
    status, text = await host.get("app")
    assert status == 200, text
    found = json.loads(text)
    assert (found["pid"], found["seen"], found["own"], found["temp"]) == (1, [], True, 1)
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in found["links"]}
    assert {kind for kind, link in found["links"].items() if link == ours[kind]} == set()


async def test_its_end_is_heard_of_and_another_takes_its_place(host: Host) -> None:
    assert (await host.get("app", "/exit"))[0] == 503
    async with asyncio.timeout(30):
        while (await host.get("app"))[0] != 200:
            await asyncio.sleep(0.05)


async def test_a_blocked_one_says_where(host: Host) -> None:
    hanging = asyncio.create_task(host.get("app", "/hang"))
    assert (await host.event("blocked", worker="app"))["where"].endswith(", in fetch")
    for pid in isolates(host):
        os.kill(pid, signal.SIGKILL)
    assert (await hanging)[0] == 503


async def test_refused_where_isolates_are_no_forks(host: Host, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        host.python, "-P", "-m", "runtime.cli", "host", "--data", str(tmp_path), "--port", "0", "--namespaces",
        env={**os.environ, "PILOT_SPAWN": "process"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, output = await process.communicate()
    assert (process.returncode, "not to be had here" in output.decode()) == (3, True), output
