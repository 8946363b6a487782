"""Changes that meet: slow ones whose premise has changed by their end, many at once, and what lives afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from families import ZYGOTE, running
from hosting import API, Host, free_port, hosting, says

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]

SLOW = "import time\ntime.sleep(3)\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data", "--limit", "stall_s=60") as host:
        yield host


def zygotes(host: Host) -> list[psutil.Process]:
    return running(host.process.pid, ZYGOTE, recursive=False)


def isolates(host: Host) -> int:
    """Processes of workers, as the machine counts them."""
    return sum(len(zygote.children(recursive=True)) for zygote in zygotes(host))


def rows(data: Path) -> list[dict[str, Any]]:
    """Every version, as the registry keeps it."""
    with closing(sqlite3.connect(data / "host.db")) as registry:
        return [json.loads(row) for (row,) in registry.execute("SELECT row FROM version")]


async def put(host: Host, name: str, entry: str) -> tuple[int, Any]:
    """An upload, without the time it takes to start a command."""
    form = aiohttp.FormData()
    form.add_field("metadata", json.dumps({"main_module": "entry.py", "keep_bindings": ["secret_text"]}))
    form.add_field("entry.py", entry, filename="entry.py", content_type="text/x-python")
    async with host.http.put(f"{host.url}{API}/scripts/{name}", data=form) as response:
        return response.status, await response.json()


async def secret(host: Host, name: str, key: str, text: str = "x") -> int:
    body = {"name": key, "text": text, "type": "secret_text"}
    return (await host.api("PUT", f"scripts/{name}/secrets", body))[0]


async def status_of(host: Host, name: str) -> dict[str, Any]:
    rows = (await host.api("GET", "/client/v4/pilot/status"))[1]["result"]["workers"]
    return next((row for row in rows if row["name"] == name), {})


async def settled(host: Host, expected: int) -> None:
    """What `pilot status` names is what lives, and no more than that many."""
    async with asyncio.timeout(60):
        while True:
            rows = (await host.api("GET", "/client/v4/pilot/status"))[1]["result"]["workers"]
            if isolates(host) == sum(row["isolates"] for row in rows) == expected:
                return
            await asyncio.sleep(0.1)


async def test_a_deploy_during_start_up_stays(tmp_path: Path) -> None:
    """The version of before is still being imported when the new one is acknowledged."""
    data = tmp_path / "data"
    async with hosting(data) as host:
        assert (await put(host, "slow", SLOW + says("old")))[0] == 200
    async with hosting(data, port=free_port()) as host:
        assert (await put(host, "slow", says("new")))[0] == 200
        assert await host.get("slow") == (200, "new")
        await host.event("ready", within=60)  # everything has been restored
        await settled(host, 2)
        assert await host.get("slow") == (200, "new")
        assert (await status_of(host, "slow"))["version"] == 2


async def test_a_delete_during_start_up_leaves_nothing(tmp_path: Path) -> None:
    """The worker's version is still being imported when it is deleted."""
    data = tmp_path / "data"
    async with hosting(data) as host:
        assert (await put(host, "slow", SLOW + says("old")))[0] == 200
    async with hosting(data, port=free_port()) as host:
        assert (await host.api("DELETE", "scripts/slow"))[0] == 200
        await host.event("ready", within=60)
        await settled(host, 0)
        assert (await host.get("slow"))[0] == 404


async def test_a_restore_that_the_host_itself_cannot_begin_is_tried_again(tmp_path: Path) -> None:
    """The zygote is killed during its import, and the next one as well."""
    data = tmp_path / "data"
    async with hosting(data) as host:
        assert (await put(host, "slow", SLOW + says("old")))[0] == 200
    async with hosting(data, port=free_port()) as host:
        await _killed_while_importing(host, "slow")
        await _killed_while_importing(host, "slow")
        assert (await host.get("slow"))[0] == 503
        async with asyncio.timeout(60):
            while await host.get("slow") != (200, "old"):
                await asyncio.sleep(0.1)


async def test_a_client_who_leaves_takes_nothing_back(host: Host) -> None:
    """Its deploy has begun: it is finished, answers, and stands in the audit log."""
    assert (await put(host, "left", says("old")))[0] == 200
    deploying = asyncio.create_task(put(host, "left", SLOW + says("new")))
    async with asyncio.timeout(60):
        while not await _begins(host, "left"):
            await asyncio.sleep(0.02)
    deploying.cancel()
    async with asyncio.timeout(60):
        while await host.get("left") != (200, "new"):
            await asyncio.sleep(0.05)
    assert (await status_of(host, "left"))["version"] == 2
    output = await host.cli("host", "--data", str(host.data), "audit")
    assert any("499" in line and line.split()[3].endswith("/left") for line in output.splitlines()), output


async def test_going_back_does_not_undo_a_deploy(host: Host) -> None:
    """While an older version is being opened on request, the failing one is found to fail."""
    assert (await put(host, "back", SLOW + says("slow")))[0] == 200
    id = (await host.api("GET", "scripts/back/versions"))[1]["result"]["items"][0]["id"]
    await put(host, "back", says("good"))
    await put(host, "back", "def fetch(): raise ValueError('no')")
    wanted = {"versions": [{"version_id": id, "percentage": 100}]}
    deploying = asyncio.create_task(host.api("POST", "scripts/back/deployments", wanted))
    while not (await host.get("back"))[1].startswith("slow"):
        assert not deploying.done() or (await deploying)[0] == 200
    assert (await deploying)[0] == 200
    missing = await host.api("DELETE", "scripts/back/secrets/NONE")  # whatever waited for its turn has had it
    assert missing[0] == 404
    for _ in range(30):
        assert await host.get("back") == (200, "slow")
        await asyncio.sleep(0.05)
    rows = (await host.api("GET", "scripts/back/deployments"))[1]["result"]["deployments"]
    assert not any("went back" in str(row["annotations"]) for row in rows)


async def test_no_change_undoes_another(host: Host) -> None:
    """Secrets and uploads at once: each builds on what was acknowledged before it."""
    entry = (
        "from workers import Response\n"
        "def fetch(request, env): return Response.json([getattr(env, f'KEY{number}') for number in range(7)])\n"
    )  # fmt: skip
    assert (await put(host, "many", says("first")))[0] == 200
    changes = [secret(host, "many", f"KEY{number}", str(number)) for number in range(7)]
    (uploaded, _), *secrets = await asyncio.gather(put(host, "many", SLOW + says("second")), *changes)
    assert [uploaded, *secrets] == [200] * 8
    assert await host.get("many") == (200, "second")
    kept = (await host.api("GET", "scripts/many/secrets"))[1]["result"]
    assert [item["name"] for item in kept] == [f"KEY{number}" for number in range(7)]
    numbers = [row["number"] for row in (await host.api("GET", "scripts/many/versions"))[1]["result"]["items"]]
    assert numbers == list(range(9, 0, -1))
    assert (await put(host, "many", entry))[0] == 200
    assert json.loads((await host.get("many"))[1]) == [str(number) for number in range(7)]


async def test_six_deletes_at_once(host: Host) -> None:
    for number in range(3):
        await put(host, f"gone{number}", says(f"x{number}"))
    aged = [path for path in (host.data / "bundles").iterdir() if not path.name.startswith(".")]
    for path in aged:
        os.utime(path, (0, 0))  # as old as needs be to be swept
    names = [f"gone{number % 3}" for number in range(6)]
    answers = await asyncio.gather(*(host.api("DELETE", f"scripts/{name}") for name in names))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 404, 404, 404], answers
    for name in names:
        assert (await host.get(name))[0] == 404
    async with asyncio.timeout(30):
        while len([path for path in aged if path.is_dir()]) > len(aged) - 3:
            await asyncio.sleep(0.05)
    wanted = [row["bundle"] for row in rows(host.data)]
    assert all((host.data / "bundles" / digest / "entry.py").is_file() for digest in wanted), "others need theirs"


async def test_what_lives_is_owned_and_shown(tmp_path: Path) -> None:
    """Deploys, deletes and secrets of one worker race: afterwards its newest version lives, and nothing else."""
    async with hosting(tmp_path / "data") as host:
        for number in range(5):
            work = [put(host, "race", says(f"{number}-{again}")) for again in range(3)]
            work += [secret(host, "race", "KEY"), host.api("DELETE", "scripts/race"), secret(host, "race", "OTHER")]
            for answer in await asyncio.gather(*work):
                assert (answer if isinstance(answer, int) else answer[0]) in (200, 404), answer
        await host.api("DELETE", "scripts/race")
        await settled(host, 0)
        assert (await host.get("race"))[0] == 404
        await put(host, "race", says("last"))
        await settled(host, 2)


async def test_a_zygote_killed_during_an_import_is_the_hosts_affair(host: Host) -> None:
    """The import is begun again; where that is cut too, the answer says to try again, and blames nobody."""
    deploying = asyncio.create_task(put(host, "cut", SLOW + says("whole")))
    await _killed_while_importing(host, "cut")
    assert await deploying == (200, deploying.result()[1])
    assert await host.get("cut") == (200, "whole")
    deploying = asyncio.create_task(put(host, "cut", SLOW + says("never")))
    await _killed_while_importing(host, "cut")
    await _killed_while_importing(host, "cut")
    status, answer = await deploying
    assert (status, "try again" in str(answer)) == (503, True), answer
    async with asyncio.timeout(60):
        while await host.get("cut") != (200, "whole"):
            await asyncio.sleep(0.1)


async def _killed_while_importing(host: Host, name: str) -> None:
    """The zygote, once it has begun a process for a version of this worker that is being opened."""
    async with asyncio.timeout(60):
        while not (isolates(host) and await _begins(host, name)):
            await asyncio.sleep(0.05)
        old = zygotes(host)
        for zygote in old:
            zygote.kill()
        while set(old) & set(zygotes(host)):
            await asyncio.sleep(0.05)


async def _begins(host: Host, name: str) -> bool:
    held = (await status_of(host, name)).get("open", ())
    return any(one["state"] == "beginning" and one["isolates"] for one in held)
