"""R2 over Cloudflare's REST API and as commands: beside ``pilot dev``, on a host, with Wrangler."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare

from hosting import Host, hosting, worker
from serving import Served, serving, write
from wrangler_support import WRANGLERS, on_host

ENTRY = """
from workers import Response
async def fetch(request, env):
    found = await env.R2.get("a/b c.txt")
    return Response("(none)" if found is None else f"{found.httpMetadata.contentType} {await found.text()}")
"""
CONFIG = '[[r2_buckets]]\nbinding = "R2"\nbucket_name = "files"\n'
PYTHON = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'
DOCS = (Path(__file__).parents[2] / "docs/bindings/r2.md").read_text("utf-8")
TOKEN = {"authorization": "Bearer any"}
ROOT = "/client/v4/accounts/a/r2/buckets"

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("dev")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        await running.deploy(worker(tmp_path_factory.mktemp("app"), ENTRY, CONFIG))
        yield running


async def api(pilot: Served, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """(status, envelope)."""
    headers = {**TOKEN, **options.pop("headers", {})}
    async with pilot.http.request(method, pilot.url + ROOT + path, headers=headers, **options) as response:
        return response.status, await response.json()


async def test_objects(pilot: Served) -> None:
    described = {"content-type": "text/x", "cache-control": "no-store"}
    status, envelope = await api(pilot, "PUT", "/files/objects/a%2Fb%20c.txt", data=b"hello", headers=described)
    assert (status, envelope["result"]["key"], envelope["result"]["size"]) == (200, "a/b c.txt", 5)
    assert await pilot.ask() == (200, "text/x hello")
    async with pilot.http.get(f"{pilot.url}{ROOT}/files/objects/a%2Fb%20c.txt", headers=TOKEN) as response:
        assert await response.text() == "hello"
        assert (response.headers["content-type"], response.headers["cache-control"]) == ("text/x", "no-store")
        assert response.headers["etag"] == f'"{envelope["result"]["etag"]}"'
    _, listing = await api(pilot, "GET", "/files/objects?delimiter=/")
    assert (listing["result"], listing["result_info"]["delimited"]) == ([], ["a/"])
    assert (await api(pilot, "GET", "/files/usage"))[1]["result"] == {"objectCount": "1", "payloadSize": "5"}
    await api(pilot, "DELETE", "/files/objects/a%2Fb%20c.txt")
    assert await pilot.ask() == (200, "(none)")


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [("GET", "/none", None, (404, 10006)), ("GET", "/files/objects/none", None, (404, 10007)),
     ("POST", "", {"name": "files"}, (409, 10004)), ("POST", "", {"name": "A_B"}, (400, 10005)),
     ("PUT", "/files/objects/" + "x" * 1025, None, (400, 10020)), ("PATCH", "/files", None, (405, 10405))],
)  # fmt: skip
async def test_what_is_refused(pilot: Served, method: str, path: str, body: Any, refusal: tuple[int, int]) -> None:
    status, envelope = await api(pilot, method, path, json=body)
    assert (status, envelope["errors"][0]["code"]) == refusal


async def test_the_cloudflare_client(pilot: Served) -> None:
    async with AsyncCloudflare(api_token="any", base_url=f"{pilot.url}/client/v4") as client:
        made = await client.r2.buckets.create(account_id="a", name="made")
        assert made.name == "made"
        listed = await client.r2.buckets.list(account_id="a")
        assert listed.buckets is not None
        assert {bucket.name for bucket in listed.buckets} == {"files", "made"}
        assert (await client.r2.buckets.get("made", account_id="a")).name == "made"
        await client.r2.buckets.delete("made", account_id="a")
    assert (await api(pilot, "GET", "/made"))[0] == 404


async def test_a_bucket_with_objects_is_not_removed(pilot: Served) -> None:
    await api(pilot, "PUT", "/files/objects/kept", data=b"x")
    status, envelope = await api(pilot, "DELETE", "/files")
    assert (status, envelope["errors"][0]["code"]) == (409, 10008)
    await api(pilot, "DELETE", "/files/objects/kept")


async def test_a_bucket_that_is_removed_is_told_to_the_worker(pilot: Served) -> None:
    """And one that is made again is another one, be it by REST or by a command."""
    for removed in (True, False):
        await api(pilot, "PUT", "/files/objects/a%2Fb%20c.txt", data=b"x")
        await api(pilot, "DELETE", "/files/objects/a%2Fb%20c.txt")
        assert await pilot.ask() == (200, "(none)")
        if removed:
            assert (await api(pilot, "DELETE", "/files"))[0] == 200
        else:
            r2(pilot.folder, "bucket", "delete", "files")
        assert "get: The specified bucket does not exist. (10006)" in (await pilot.ask())[1]
        assert (await api(pilot, "PUT", "/files/objects/a", data=b"x"))[0] == 404
        assert (await api(pilot, "POST", "", json={"name": "files"}))[0] == 200
        assert await pilot.ask() == (200, "(none)")


def r2(folder: Path, *words: str, code: int = 0, stdin: bytes = b"") -> bytes:
    command = [sys.executable, "-P", "-m", "runtime.cli", "r2", *words]
    done = subprocess.run(command, cwd=folder, timeout=60, capture_output=True, input=stdin)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stderr if code else done.stdout


async def test_commands_beside_a_running_server(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    (tmp_path / "report.txt").write_bytes(b"first")
    async with serving(tmp_path) as pilot:
        output = r2(tmp_path, "object", "put", "files/a/b c.txt", "--file", "report.txt")
        assert output == b'Creating object "a/b c.txt" in bucket "files".\nUpload complete.\n'
        assert await pilot.ask() == (200, "text/plain first")
        r2(tmp_path, "object", "put", "files/a/b c.txt", "--pipe", "--content-type", "a/b", stdin=b"second")
        assert await pilot.ask() == (200, "a/b second")
        assert r2(tmp_path, "object", "get", "files/a/b c.txt", "--pipe") == b"second"
        r2(tmp_path, "object", "get", "files/a/b c.txt", "--file", "copy")
        assert (tmp_path / "copy").read_bytes() == b"second"
        [listed] = json.loads(r2(tmp_path, "object", "list", "files", "--prefix", "a/"))
        assert (listed["key"], listed["size"]) == ("a/b c.txt", 6)
        assert json.loads(r2(tmp_path, "bucket", "info", "files"))["object_count"] == 1
        assert b"not empty" in r2(tmp_path, "bucket", "delete", "files", code=3)
        assert r2(tmp_path, "object", "delete", "files/a/b c.txt").endswith(b"Delete complete.\n")
        assert await pilot.ask() == (200, "(none)")
        assert b"The specified key does not exist." in r2(tmp_path, "object", "get", "files/nope", "--pipe", code=3)
        assert b"names no object" in r2(tmp_path, "object", "get", "files", "--pipe", code=3)
        assert b'bucket_name = "more"' in r2(tmp_path, "bucket", "create", "more")
        assert [bucket["name"] for bucket in json.loads(r2(tmp_path, "bucket", "list"))] == ["files", "more"]


async def test_the_commands_that_are_shown(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    for line in DOCS.partition("```sh\npilot r2")[2].partition("```")[0].splitlines():
        r2(tmp_path, *shlex.split(line.removeprefix("pilot r2")))
    assert (tmp_path / "copy.pdf").read_bytes() == b"%PDF"


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_is_content(host: Host, tmp_path: Path, version: str) -> None:
    name = "w" + version.replace(".", "-")
    folder = worker(tmp_path / "app", ENTRY, PYTHON)
    (folder / "report.txt").write_bytes(b"from wrangler")
    token = (await host.cli("host", "--data", str(host.data), "token", "create", name)).strip()

    async def run(*words: str) -> str:
        return await on_host(version, "r2", *words, url=host.url, token=token, folder=folder)

    await run("bucket", "create", name)
    assert name in await run("bucket", "list")
    await run("object", "put", f"{name}/a/b c.txt", "--file", "report.txt", "--content-type", "text/x", "--remote")
    assert "from wrangler" in await run("object", "get", f"{name}/a/b c.txt", "--pipe", "--remote")
    await run("object", "delete", f"{name}/a/b c.txt", "--remote")
    await run("bucket", "delete", name)
