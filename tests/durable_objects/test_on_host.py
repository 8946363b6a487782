"""Durable Objects on a host: migrations by ``pilot deploy`` and Wrangler, versions, walls, limits, and ``--purge``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
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

ENTRY = """
import os, time
from workers import URL, DurableObject, Response, WorkerEntrypoint

class CLASS(DurableObject):
    async def add(self):
        value = (await self.ctx.storage.get("value") or 0) + 1
        await self.ctx.storage.put("value", value)
        return f"{value} {type(self).__name__} {self.ctx.id.toString()[:8]}"

    async def ring(self):
        await self.ctx.storage.setAlarm(time.time() * 1000)
        return "set"

    async def alarm(self):
        if type(self).__name__ == "First":
            raise ValueError("not by this name")
        await self.ctx.storage.put("rang", type(self).__name__)

    async def rang(self):
        return await self.ctx.storage.get("rang") or "no"

    async def walls(self):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (a)")
        folder = os.path.dirname(self.ctx.storage.sql._file.path)
        found = []
        for path in (os.path.join(folder, "own"), os.path.join(folder, "..", "theirs"), "/tmp/theirs"):
            try:
                open(path, "w").close()
                found.append("written")
            except OSError:
                found.append("refused")
        return " ".join(found)

    async def blocks(self):
        held = bytearray(b"x") * (300 << 20)  # with which a killed process takes a while to end
        while held:
            pass

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, method, name = URL(request.url).pathname.split("/")
        try:
            return Response(await getattr(self.env.NS.getByName(name), method)())
        except Exception as error:
            return Response(str(error), status=500)
"""
BINDING = '\n[[durable_objects.bindings]]\nname = "NS"\nclass_name = "{}"\n'
MADE = '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["First"]\n'
RENAMED = '[[migrations]]\ntag = "v2"\nrenamed_classes = [{from = "First", to = "Second"}]\n'
DELETED = '[[migrations]]\ntag = "v3"\nnew_sqlite_classes = ["Third"]\ndeleted_classes = ["Second"]\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host"), "--limit", "stall_s=4") as running:
        yield running


def project(folder: Path, cls: str, migrations: str, name: str) -> Path:
    return worker(folder, ENTRY.replace("CLASS", cls), BINDING.format(cls) + migrations, name=name)


def holders(host: Host) -> list[str]:
    """Processes that have a file of the worker ``giver``'s objects open."""
    about = next(path for path in host.data.glob("**/about.json") if '"giver-First"' in path.read_text())
    found = set[str]()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(link).startswith(f"{about.parent}/"):
                found.add(link.parts[2])
    return sorted(found)


def folders(host: Host) -> list[str]:
    return sorted(path.name for path in host.data.glob("**/durable_objects/*/about.json"))


async def test_classes_are_renamed_and_deleted_once_by_tag(host: Host, tmp_path: Path) -> None:
    await host.deploy(project(tmp_path, "First", MADE, "moves"))
    assert (await host.get("moves", "/add/a"))[1].startswith("1 First ")
    status, id_ = (await host.get("moves", "/add/a"))[1].rpartition(" ")[::2]
    assert status == "2 First"
    assert (await host.get("moves", "/ring/b")) == (200, "set")
    second = await host.deploy(project(tmp_path, "Second", MADE + RENAMED, "moves"))
    assert await host.get("moves", "/add/a") == (200, f"3 Second {id_}")
    await host.deploy(project(tmp_path, "Second", MADE + RENAMED, "moves"))  # nothing to do again
    assert await host.get("moves", "/add/a") == (200, f"4 Second {id_}")
    async with asyncio.timeout(60):
        while await host.get("moves", "/rang/b") != (200, "Second"):  # its alarm was set by the class's old name
            await asyncio.sleep(0.1)
    before = len(folders(host))
    await host.deploy(project(tmp_path, "Third", MADE + RENAMED + DELETED, "moves"))
    assert (await host.get("moves", "/add/a"))[1].startswith("1 Third ")
    assert len(folders(host)) == before  # one went, one came
    output = await host.cli("rollback", second, fails=True, cwd=tmp_path)
    assert "before the Durable Object migration 'v3'" in output
    assert (await host.get("moves", "/add/a"))[1].startswith("2 Third ")


async def test_a_class_goes_over_to_another_worker(host: Host, tmp_path: Path) -> None:
    await host.deploy(project(tmp_path / "from", "First", MADE, "giver"))
    assert (await host.get("giver", "/add/a"))[1].startswith("1 First")
    moved = (
        '[[migrations]]\ntag = "v1"\ntransferred_classes = [{from = "First", from_script = "giver", to = "Taker"}]\n'
    )
    [before] = holders(host)
    await host.deploy(project(tmp_path / "to", "Taker", moved, "taker"))
    assert holders(host) == []
    assert (await host.get("taker", "/add/a"))[1].startswith("2 Taker")
    status, text = await host.get("giver", "/add/a")
    assert (status, "are another worker's by now" in text) == (500, True), text
    [after] = holders(host)
    assert before != after
    assert (await host.get("taker", "/add/a"))[1].startswith("3 Taker")  # nobody has opened it meanwhile


async def test_objects_outlive_a_rollback_and_the_host_has_them_once(host: Host, tmp_path: Path) -> None:
    first = await host.deploy(project(tmp_path, "First", MADE, "rolled"))
    assert (await host.get("rolled", "/add/a"))[1].startswith("1 First")
    await host.deploy(project(tmp_path, "First", MADE, "rolled"))
    assert (await host.get("rolled", "/add/a"))[1].startswith("2 First")
    await host.cli("rollback", first, cwd=tmp_path)
    assert (await host.get("rolled", "/add/a"))[1].startswith("3 First")


async def test_objects_write_in_their_own_folder_alone(host: Host, tmp_path: Path) -> None:
    await host.deploy(project(tmp_path, "First", MADE, "walled"))
    assert await host.get("walled", "/walls/a") == (200, "written refused refused")


async def test_an_object_that_blocks_is_killed_by_name_and_its_neighbours_never_notice(
    host: Host, tmp_path: Path
) -> None:
    await host.deploy(project(tmp_path / "bad", "First", MADE, "blocking"))
    await host.deploy(project(tmp_path / "good", "First", MADE, "neighbour"))
    assert (await host.get("blocking", "/add/a"))[0] == (await host.get("neighbour", "/add/a"))[0] == 200
    blocked = asyncio.create_task(host.get("blocking", "/blocks/a"))
    for number in range(2, 12):
        assert (await host.get("neighbour", "/add/a"))[1].startswith(f"{number} First")
        await asyncio.sleep(0.05)
    await host.says("gave no sign of life")
    assert (await host.get("blocking", "/add/a"))[1].startswith("2 First")  # though the other one has not ended yet
    assert await blocked == (500, "Error: Network connection lost.")


async def test_purge_removes_a_workers_objects(host: Host, tmp_path: Path) -> None:
    await host.deploy(project(tmp_path, "First", MADE, "purged"))
    assert (await host.get("purged", "/add/a"))[0] == 200
    before = len(folders(host))
    assert "Durable Objects" in await host.cli("delete", "--yes", "--purge", cwd=tmp_path)
    assert len(folders(host)) == before - 1
    await host.deploy(project(tmp_path, "First", MADE, "purged"))
    assert (await host.get("purged", "/add/a"))[1].startswith("1 First")


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_deploys_with_migrations(host: Host, tmp_path: Path, version: str) -> None:
    name = f"wrangled-{version.split('.')[1]}"
    flags = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'

    async def deploy(cls: str, migrations: str) -> None:
        folder = worker(tmp_path, ENTRY.replace("CLASS", cls), flags + BINDING.format(cls) + migrations, name=name)
        await on_host(version, "deploy", url=host.url, token=host.token, folder=folder)

    await deploy("First", MADE)
    assert (await host.get(name, "/add/a"))[1].startswith("1 First")
    await deploy("Second", MADE + RENAMED)
    assert (await host.get(name, "/add/a"))[1].startswith("2 Second")
    await deploy("Second", MADE + RENAMED)
    assert (await host.get(name, "/add/a"))[1].startswith("3 Second")
