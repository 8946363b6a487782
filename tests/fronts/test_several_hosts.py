"""One command for several hosts: each is told, and it is said who has what."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, free_port, hosting, says, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Host]]:
    """Two, with the same token."""
    async with AsyncExitStack() as stack:
        data = [tmp_path_factory.mktemp(name) / "data" for name in "ab"]
        first = await stack.enter_async_context(hosting(data[0]))
        second = await stack.enter_async_context(hosting(data[1]))
        yield [first, second]


async def pilot(hosts: list[Host] | str, folder: Path, *words: str, stdin: str = "", **env: str) -> tuple[int, str]:
    """(exit code, what is printed)"""
    if not isinstance(hosts, str):
        env = {"PILOT_API_TOKEN": ",".join(host.token for host in hosts), **env}
        hosts = ",".join(host.url for host in hosts)
    process = await asyncio.create_subprocess_exec(
        Host.python, "-P", "-m", "runtime.cli", *words, cwd=folder, env={**os.environ, "PILOT_HOST": hosts, **env},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode()


async def test_a_deploy_goes_to_each(hosts: list[Host], tmp_path: Path) -> None:
    folder = worker(tmp_path / "app", says("one"))
    code, out = await pilot(hosts, folder, "deploy")
    assert code == 0, out
    told = out.partition("Who has what:\n")[2].splitlines()
    assert [line.split()[0] for line in told] == [host.url for host in hosts]
    assert len({line.split(maxsplit=1)[1] for line in told}) == 1, "the same code"
    for host in hosts:
        assert await host.get("app") == (200, "one")
    worker(folder, says("two"))
    assert (await pilot(hosts, folder, "deploy"))[0] == 0
    assert (await pilot(hosts, folder, "rollback"))[0] == 0
    for host in hosts:
        assert await host.get("app") == (200, "one")


async def test_secrets_and_deletion_reach_each(hosts: list[Host], tmp_path: Path) -> None:
    folder = worker(
        tmp_path / "app",
        "from workers import Response\ndef fetch(request, env): return Response(env.KEY)\n", name="keyed",
    )  # fmt: skip
    assert (await pilot(hosts, folder, "deploy"))[0] == 0
    assert (await pilot(hosts, folder, "secret", "put", "KEY", stdin="opensesame"))[0] == 0
    for host in hosts:
        assert await host.get("keyed") == (200, "opensesame")
    code, out = await pilot(hosts, folder, "delete", "--yes")
    assert (code, out.count("keyed is not there any more")) == (0, 2)
    for host in hosts:
        assert (await host.get("keyed"))[0] == 404


async def test_one_that_refuses_keeps_none_of_the_others(hosts: list[Host], tmp_path: Path) -> None:
    folder, nobody = worker(tmp_path / "app", says("there"), name="half"), f"http://127.0.0.1:{free_port()}"
    first = f"{nobody},{hosts[0].url}"
    code, out = await pilot(first, folder, "deploy", PILOT_API_TOKEN=f"none,{hosts[0].token}")
    assert code == 1, out
    assert f"{nobody}   failed" in out
    assert await hosts[0].get("half") == (200, "there")


async def test_hosts_that_differ_are_told_of(hosts: list[Host], tmp_path: Path) -> None:
    folder = worker(tmp_path / "app", says("one"), name="apart")
    assert (await pilot(hosts, folder, "deploy"))[0] == 0
    worker(folder, says("two"), name="apart")
    await hosts[0].deploy(folder)
    worker(folder, says("three"), name="apart")
    assert (await pilot(hosts, folder, "deploy"))[0] == 0
    code, out = await pilot(hosts, folder, "rollback")
    assert (code, "They differ" in out) == (1, True), out


async def test_status_shows_each_and_others_want_one(hosts: list[Host], tmp_path: Path) -> None:
    folder = worker(tmp_path / "app", says("one"))
    code, out = await pilot(hosts, folder, "status", "--json")
    assert (code, list(json.loads(out))) == (0, [host.url for host in hosts])
    code, out = await pilot(hosts, folder, "versions")
    assert (code, "PILOT_HOST: this command speaks to one host, and 2 are named" in out) == (3, True)
    code, out = await pilot(hosts, folder, "status", PILOT_API_TOKEN="a,b,c")
    assert (code, "PILOT_API_TOKEN: has 3 tokens for 2 hosts" in out) == (3, True)
