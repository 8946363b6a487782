"""`pilot deploy` and its like: what is sent, what is said."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hosting import Host, hosting, says, worker

from runtime.config import load

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        yield running


async def test_a_version_by_its_number_or_the_beginning_of_its_id(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("one"), name="named")
    first = await host.deploy(folder)
    (folder / "entry.py").write_text(says("two"))
    second = await host.deploy(folder)
    for wanted, number, text in (("1", 1, "one"), (second[:8], 2, "two"), (first.upper(), 1, "one"), ("2", 2, "two")):
        assert f"version {number} answers   {(first, second)[number - 1]}" in await host.cli(
            "rollback", wanted, cwd=folder)
        assert await host.get("named") == (200, text)
    for wanted in ("3", "-1", second[:3]):
        error = await host.cli("rollback", "--", wanted, cwd=folder, fails=True)
        assert f"has no version {wanted}. Those it has:  pilot versions" in error
    with sqlite3.connect(host.data / "host.db") as registry:
        copy = "INSERT INTO version SELECT ?, worker, 9, row FROM version WHERE id=?"
        registry.execute(copy, (f"{second[:-1]}{'0' if second[-1] != '0' else '1'}", second))
    assert "begin with" in await host.cli("rollback", second[:8], cwd=folder, fails=True)
    assert await host.get("named") == (200, "two")


async def test_what_is_not_served_is_said_as_in_dev(tmp_path: Path) -> None:
    config = '[triggers]\ncrons = ["* * * * *"]\n[assets]\ndirectory = "."\n[[kv_namespaces]]\nbinding = "KV"\n'
    folder = worker(tmp_path, says("x"), config, name="unserved", **{".dev.vars": "nonsense here\n"})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "deploy", "--dry-run", cwd=folder, stderr=asyncio.subprocess.PIPE)
    told = [line.removeprefix("▲ ") for line in (await process.communicate())[1].decode().splitlines()]
    assert len(told) == 3
    assert told == [line for line in load(None, cwd=folder).warnings if ".dev.vars" not in line]
