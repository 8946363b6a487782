"""Under which hostnames a host answers, and what it believes of a proxy."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from runtime.host.store import tokens
from runtime.host.store.registry import Registry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = "from workers import Response\ndef fetch(request): return Response(request.url)"
CLIENT = "from workers import Response\ndef fetch(request): return Response(request.headers['cf-connecting-ip'])"
APPLICATION = """
import asgi, json

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("none")
    told = json.dumps({name: str(scope[name]) for name in ("root_path", "path", "raw_path")})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})

async def fetch(request, env, ctx):
    return await asgi.fetch(app, request, env, ctx)
"""
FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "app.localhost", "x-forwarded-for": "203.0.113.9"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data", "--hostname", "Control.example") as running:
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
        await host.deploy(worker(tmp_path / "client", CLIENT, name="client"))
        forged = {**FORWARDED, "cf-connecting-ip": "6.6.6.6", "x-forwarded-host": "client.localhost"}
        assert await host.ask("/" if url else "/_w/client/", headers=forged) == (200, peer)


@pytest.mark.parametrize(("asked", "to"), [
    ("/_w/app", "/_w/app/"), ("/_w/app?a=%26&b", "/_w/app/?a=%26&b"), ("/_w/app/x", None), ("/_w/app/", None),
])  # fmt: skip
async def test_a_workers_place_ends_in_a_slash(host: Host, asked: str, to: str | None) -> None:
    for method in ("GET", "POST", "HEAD"):
        async with host.http.request(method, host.url + asked, allow_redirects=False) as response:
            assert (response.status, response.headers.get("location")) == ((308, to) if to else (200, None))
    async with host.http.post(host.url + "/_w/app", data=BytesIO(b"x" * 3_000_000)) as response:
        assert await response.text() == host.url + "/"
    for nobody in ("/_w/nobody", "/_w/", "/_w"):
        assert (await host.ask(nobody))[0] == 404


async def test_an_application_knows_where_it_is_served(host: Host, tmp_path: Path) -> None:
    await host.deploy(worker(tmp_path, APPLICATION, name="fast"))
    status, text = await host.get("fast", "/docs/%C3%A9?x")
    assert (status, json.loads(text)) == (200, {
        "root_path": "/_w/fast", "path": "/_w/fast/docs/é", "raw_path": "b'/_w/fast/docs/%C3%A9'",
    })  # fmt: skip
    status, text = await host.ask("/docs", headers={"host": "fast.localhost"})
    assert json.loads(text) == {"root_path": "", "path": "/docs", "raw_path": "b'/docs'"}


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


@pytest.mark.parametrize("hostname", [
    "127.0.0.1", "control.example", "CONTROL.example", "localhost", "a b.example", "[::1]", "a..b",
    f"{socket.gethostname().partition('.')[0]}.local", "host.docker.internal",
])  # fmt: skip
async def test_hostnames_that_are_no_workers(host: Host, hostname: str) -> None:
    body = {"origins": [{"hostname": hostname}]}
    status, answer = await host.api("PUT", "scripts/app/domains/records", body)
    assert (status, answer["success"]) == (400, False), answer


async def test_no_worker_gets_the_hosts_own_name(tmp_path: Path) -> None:
    """By its name or by a domain; not even one that had it before the host did."""
    options, data = ("--domain", "apps.example"), tmp_path / "data"
    config = 'routes = [{pattern = "gpu.example", custom_domain = true}]\n'
    api, apps = worker(tmp_path / "api", ENTRY, name="api"), worker(tmp_path / "apps", ENTRY, config, "app")
    async with hosting(data, *options) as host:
        for folder, name in ((api, "api.apps.example"), (apps, "gpu.example")):
            await host.deploy(folder)
            assert await host.ask("/", headers={"host": name}) == (200, f"http://{name}/")
    async with hosting(data, *options, "--hostname", "api.apps.example", "--hostname", "gpu.example") as host:
        for name in ("api.apps.example", "gpu.example", "GPU.example:8788", "gpu.example."):
            assert (await host.ask("/", headers={"host": name}))[0] == 404
            assert (await host.api("GET", "services/app", headers={"host": name}))[0] == 200
        assert "is the host's own" in await host.cli("deploy", cwd=api, fails=True)
        assert "cannot be a worker's hostname" in await host.cli("deploy", cwd=apps, fails=True)
        assert (await host.get("api"))[0] == 200, "what is not in its way stays"
    async with hosting(tmp_path / "other") as host:
        words = ["host", "--data", str(tmp_path / "third"), "--port", "0", "--hostname", "https://gpu.example"]
        assert "--hostname gpu.example.com" in await host.cli(*words, fails=True)
