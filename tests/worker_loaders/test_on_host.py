"""The Worker Loader on a host: by ``pilot deploy`` and Wrangler, within the host's limits and walls."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from wrangler_support import WRANGLERS, on_host

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = (
    (Path(__file__).parent / "loader_worker.py").read_text()
    + '''

async def burns(env, ctx, request):
    source = """
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def burns(self):
        while True:
            pass
"""
    await refused(env.LOADER.load(code(source, limits={"cpuMs": 60_000})).getEntrypoint().burns(), "Error", "CPU time")


async def blocks(env, ctx, request):
    source = """
import time
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def blocks(self):
        time.sleep(3600)
"""
    worker = env.LOADER.get("blocks", lambda: code(source))
    await refused(worker.getEntrypoint().blocks(), "Error", "process ended")
'''
)
CONFIG = '[[worker_loaders]]\nbinding = "LOADER"\n[[kv_namespaces]]\nbinding = "KV"\nid = "kv"\n'
CASES = (
    "entrypoints_are_fetched_and_called", "one_process_per_id", "env_is_given", "outbound_is_blocked",
    "outbound_goes_through_a_gateway", "limits_are_kept", "names_leave_no_folder", "burns", "blocks",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    limits = ("--limit", "cpu_ms=500", "--limit", "stall_s=6")
    async with hosting(tmp_path_factory.mktemp("host"), *limits) as running:
        await running.deploy(worker(tmp_path_factory.mktemp("worker"), ENTRY, CONFIG, name="loads"))
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(host: Host, case: str) -> None:
    assert await host.get("loads", f"/{case}") == (200, "held\n"), host.log()[-3000:]


async def test_it_is_shut_in(host: Host) -> None:
    status, text = await host.get("loads", "/it_is_shut_in")
    assert status == 200, text
    assert not [what for what, outcome in json.loads(text).items() if outcome.startswith("did it")], text


async def test_a_version_takes_what_it_has_loaded_with_it(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, ENTRY, CONFIG, name="moves")
    await host.deploy(folder)
    _, pid = await host.get("moves", "/pid_of?id=one")
    await host.deploy(worker(tmp_path, ENTRY + "\n# anew\n", CONFIG, name="moves"))
    status, other = await host.get("moves", "/pid_of?id=one")
    assert (status, other != pid) == (200, True)
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_deploys_a_loader(host: Host, tmp_path: Path, version: str) -> None:
    name = f"wrangled-{version.split('.')[1]}"
    flags = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'
    folder = worker(tmp_path, ENTRY, flags + CONFIG, name=name)
    await on_host(version, "deploy", url=host.url, token=host.token, folder=folder)
    assert await host.get(name, "/entrypoints_are_fetched_and_called") == (200, "held\n"), host.log()[-3000:]
