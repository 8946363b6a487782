"""What a host gives to whom it does not know: a page in its operator's browser, a program without a token."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from hosting import API, Host, hosting, says, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
SCRIPT = f"{API}/scripts/planted"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        yield running


def form() -> aiohttp.FormData:
    """What any page can have a browser post without asking first: a multipart form, here a worker."""
    data = aiohttp.FormData()
    data.add_field("metadata", '{"main_module": "entry.py"}')
    data.add_field("entry.py", says("planted"), filename="entry.py", content_type="text/x-python")
    return data


@pytest.mark.parametrize("page", [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"},
    {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    {"host": "rebound.example"}, {"host": "rebound.example:8788", "origin": "http://rebound.example:8788"},
    {"host": "127.0.0.1.evil.example"}, {"host": "localhost.evil.example"}, {},
])  # fmt: skip
async def test_a_page_cannot_drive_a_host(host: Host, page: dict[str, str]) -> None:
    """Nor could it on the day on which the host was begun: nothing here was configured."""
    async with aiohttp.ClientSession() as browser:
        for method, path in (("PUT", SCRIPT), ("POST", SCRIPT + "/versions")):
            async with browser.request(method, host.url + path, data=form(), headers=page) as response:
                assert response.status == (403 if page else 400), await response.text()
                assert "access-control-allow-origin" not in response.headers
        async with browser.get(f"{host.url}{API}/services/planted", headers=page) as response:
            assert response.status == (403 if page else 400)
    assert (await host.get("planted"))[0] == 404
    assert (await host.api("GET", "services/planted"))[0] == 404


async def test_the_refusal_of_a_name_says_what_to_type(host: Host, tmp_path: Path) -> None:
    refused = await host.api("GET", "services/x", headers={"host": "gpu.example.com:8788"})
    assert refused[0] == 403
    assert "pilot host --hostname gpu.example.com" in refused[1]["errors"][0]["message"]
    names = ["localhost:8788", "127.0.0.1", "192.0.2.7:80", "[::1]:1", "[2001:db8::1]", socket.gethostname()]
    for name in names:
        assert (await host.api("GET", "services/x", headers={"host": name}))[0] == 404, name
    browser = {"host": "gpu.example.com", "accept": "text/html"}
    status, text = await host.ask(f"{API}/services/x", headers=browser)
    assert (status, "<html" in text, "--hostname gpu.example.com" in text) == (403, True, True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "host.toml").write_text('[pilot]\nhosts = ["GPU.example.com"]\n')
    async with hosting(tmp_path / "data") as other:
        assert (await other.api("GET", "services/x", headers={"host": "gpu.example.com"}))[0] == 404


async def test_a_first_token_is_made_and_found_on_this_machine_alone(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", worker(tmp_path / "app", says("one"))

    async def pilot(*words: str, **env: str) -> tuple[int, str]:
        """As a person would type it, who has exported nothing."""
        clean = {name: value for name, value in os.environ.items() if name != "PILOT_API_TOKEN"}
        process = await asyncio.create_subprocess_exec(
            host.python, "-P", "-m", "runtime.cli", *words, cwd=folder, env={**clean, **env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async with hosting(data) as host:
        token = (data / "token").read_text().strip()
        assert (data / "token").stat().st_mode & 0o777 == 0o600
        assert str(data / "token") in host.log()
        assert token not in host.log()
        port = host.url.rpartition(":")[2]
        for url in (host.url, f"http://localhost:{port}"):
            code, out = await pilot("deploy", PILOT_HOST=url, PILOT_DATA=str(data))
            assert code == 0, out
        assert await host.get("app") == (200, "one")
        async with hosting(tmp_path / "named", "--host", "localhost") as named:
            code, out = await pilot("status", PILOT_HOST=named.url, PILOT_DATA=str(named.data))
            assert code == 0, out
        code, out = await pilot("status", PILOT_HOST=host.url, PILOT_DATA=str(tmp_path / "nobody's"))
        assert (code, "export PILOT_DATA=" in out) == (3, True)
        for url in (f"http://127.0.0.2:{port}", f"https://127.0.0.1:{port}"):
            code, out = await pilot("status", PILOT_HOST=url, PILOT_DATA=str(data))
            assert code == 3, "no name or address but the host's own is sent the token"
        assert token not in out
        await host.cli("host", "--data", str(data), "token", "create", "laptop")
        await host.cli("host", "--data", str(data), "token", "revoke", "first")
        assert "Authentication" in await host.cli("status", fails=True)
    async with hosting(data) as host:
        assert (data / "token").read_text().strip() == token, "there is a token already"


async def test_a_token_is_not_sent_where_no_host_runs(tmp_path: Path) -> None:
    """Whoever has taken the address of a host that has ended gets no token from a command."""
    data, folder = tmp_path / "data", worker(tmp_path / "app", says("one"))
    async with hosting(data) as host:
        url = host.url
    seen: list[str] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    port = int(url.rpartition(":")[2])
    async with await asyncio.start_server(other, "127.0.0.1", port, reuse_address=True):
        process = await asyncio.create_subprocess_exec(
            host.python, "-P", "-m", "runtime.cli", "status", cwd=folder, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PILOT_HOST": url, "PILOT_DATA": str(data)},
        )  # fmt: skip
        await process.communicate()
    assert len(seen) == 1
    assert "pilot_" not in seen[0]
    assert "authorization" not in seen[0].lower()


async def test_no_token_no_entry(tmp_path: Path) -> None:
    """Also once the last one is revoked, and for a host that others can reach."""
    async with hosting(tmp_path / "data", "--host", "0.0.0.0") as host:
        host.url = host.url.replace("0.0.0.0", "127.0.0.1")
        assert (await host.api("GET", "services/x"))[0] == 404
        assert (await host.cli("host", "--data", str(host.data), "token", "revoke", "first")).strip()
        for headers in ({}, {"authorization": "Bearer any"}, {"x-auth-key": "any", "x-auth-email": "a@b"}):
            host.token = ""
            assert (await host.api("GET", "services/x", headers=headers))[0] in (400, 403)
            assert (await host.ask("/__pilot/metrics", headers=headers))[0] in (400, 403)
            run = "/client/v4/accounts/host/ai/run/@cf/meta/llama-2-7b-chat-int8"
            assert (await host.ask(run, "POST", json={"prompt": "a"}, headers=headers))[0] in (400, 401)


@pytest.mark.parametrize("framing", ["content-length: 100", "content-length: 1000000", "transfer-encoding: chunked"])
async def test_slow_bodies_shut_nobody_out(tmp_path: Path, framing: str) -> None:
    """Forty clients that send one byte; a worker that serves forty requests at a time."""
    entry = "from workers import Response\nasync def fetch(request): return Response(str(len(await request.bytes())))\n"
    async with hosting(tmp_path / "data", "--limit", "concurrent=40") as host:
        await host.deploy(worker(tmp_path / "app", entry))
        port = int(host.url.rpartition(":")[2])
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        body = "1\r\nx\r\n" if "chunked" in framing else "x"
        for _, writer in slow:
            writer.write(f"POST /_w/app/ HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n{body}".encode())
            await writer.drain()
        if "100000" in framing or "chunked" in framing:  # the others were refused: that they have begun is seen by it
            await host.says("bodies are still coming")
        for _ in range(20):
            assert await host.get("app") == (200, "0")
            assert await host.ask("/_w/app/", "POST", data=b"x" * 50_000) == (200, "50000")
        for _, writer in slow:
            writer.close()
