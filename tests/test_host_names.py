"""Under which hostnames a host answers, and what it believes of a proxy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hosting import Host, hosting, worker

from runtime.host import tokens
from runtime.host.registry import Registry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = "from workers import Response\ndef fetch(request): return Response(request.url)"
FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "app.localhost", "x-forwarded-for": "203.0.113.9"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        await running.deploy(worker(tmp_path_factory.mktemp("app"), ENTRY))
        yield running


@pytest.mark.parametrize(("trusted", "url", "peer"), [
    ("127.0.0.0/8", "https://app.localhost/", "203.0.113.9"), ("10.0.0.0/8", None, "127.0.0.1"),
    (None, None, "127.0.0.1"),
])  # fmt: skip
async def test_a_proxy_is_believed_where_it_is_trusted(
    tmp_path: Path, trusted: str | None, url: str | None, peer: str
) -> None:
    token = a_token(tmp_path / "data")
    async with hosting(tmp_path / "data", *(["--trusted-proxy", trusted] if trusted else [])) as host:
        host.token = token
        await host.deploy(worker(tmp_path / "app", ENTRY))
        status, text = await host.ask("/", headers=FORWARDED)
        assert (status, text) == (200, url) if url else status == 404
        assert await peer_of_a_call(host) == peer


def a_token(data: Path) -> str:
    data.mkdir()
    registry = Registry(data / "host.db")
    _, token = tokens.create(registry, "test", ["deploy"])
    registry.close()
    return token


async def peer_of_a_call(host: Host) -> str:
    """As the audit log has it."""
    await host.api("DELETE", "services/nobody", headers={"x-forwarded-for": FORWARDED["x-forwarded-for"]})
    return (await host.cli("host", "--data", str(host.data), "audit", "--limit", "1")).split()[-1]


async def test_what_is_no_network(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        a_token(tmp_path / "other")
        words = ["host", "--data", str(tmp_path / "other"), "--port", "0", "--trusted-proxy", "proxy"]
        assert "--trusted-proxy" in await host.cli(*words, fails=True)


async def test_hostnames_of_a_workers_own(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        config = 'routes = ["a.example/*", {pattern = "app.example", custom_domain = true}]\n'
        mine = worker(tmp_path / "mine", ENTRY, config, "mine")
        port = host.url.rpartition(":")[2]
        assert f"http://app.example:{port}/\n" in await host.cli("deploy", cwd=mine)
        assert (await host.ask("/", headers={"host": "app.example"}))[1] == "http://app.example/"
        assert (await host.ask("/", headers={"host": "a.example"}))[0] == 404
        other = worker(tmp_path / "other", ENTRY.replace("request.url", "'other'"), config, "other")
        await host.deploy(other)
        assert (await host.ask("/", headers={"host": "app.example"}))[1] == "other"
        await host.deploy(worker(tmp_path / "other", ENTRY, "", "other"))
        assert (await host.ask("/", headers={"host": "app.example"}))[0] == 404


@pytest.mark.parametrize("hostname", ["127.0.0.1", "control.example", "localhost", "a b.example", "[::1]", "a..b"])
async def test_hostnames_that_are_no_workers(host: Host, hostname: str) -> None:
    body = {"origins": [{"hostname": hostname}]}
    status, answer = await host.api("PUT", "scripts/app/domains/records", body, headers={"host": "control.example"})
    assert (status, answer["success"]) == (400, False), answer
