"""Vectorize over Cloudflare's REST API and as commands: beside ``pilot dev``, on a host, by the cloudflare client."""

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
from cloudflare import AsyncCloudflare, NotFoundError

from hosting import Host, hosting, worker
from serving import Served, serving, write
from wrangler_support import WRANGLERS, on_host

ENTRY = """
from workers import Response
async def fetch(request, env):
    found = await env.DOCS.query([1, 0, 0], returnMetadata="all")
    return Response.json([[match.id, match.metadata] for match in found.matches if "metadata" in match])
"""
CONFIG = """
[[vectorize]]
binding = "DOCS"
index_name = "docs"
[pilot.vectorize.docs]
dimensions = 3
"""
LINES = [{"id": "a", "values": [1, 0, 0], "metadata": {"n": 1}}, {"id": "b", "values": [0, 1, 0], "metadata": {"n": 2}}]
NDJSON = "\n".join(map(json.dumps, LINES)).encode()
TOKEN = {"authorization": "Bearer any"}
DOCS = (Path(__file__).parents[2] / "docs/bindings/vectorize.md").read_text("utf-8")
PYTHON = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'
ROOT = "/client/v4/accounts/a/vectorize/v2/indexes"

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


async def api(pilot: Served, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """(status, envelope)."""
    given = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with pilot.http.request(method, pilot.url + ROOT + path, headers=TOKEN, **given) as response:
        return response.status, await response.json()


async def test_the_cloudflare_client(pilot: Served) -> None:
    async with AsyncCloudflare(api_token="any", base_url=f"{pilot.url}/client/v4") as client:
        indexes, account = client.vectorize.indexes, {"account_id": "a"}
        made = await indexes.create(**account, name="made", config={"dimensions": 3, "metric": "euclidean"})
        assert made is not None
        assert made.config is not None
        assert (made.name, made.config.dimensions, made.config.metric) == ("made", 3, "euclidean")
        assert {index.name async for index in indexes.list(**account)} == {"docs", "made"}
        await indexes.metadata_index.create("made", **account, index_type="number", property_name="n")
        with pytest.warns(DeprecationWarning, match="raw bytes"):  # the client's own, of what alone it takes here
            done = await indexes.insert("made", **account, body=NDJSON)
        assert done is not None
        assert done.mutation_id
        found = await indexes.query(
            "made", **account, vector=[1, 0, 0], top_k=2, return_metadata="all", filter={"n": 1}
        )
        assert found is not None
        assert found.matches is not None
        assert [(match.id, match.score, match.metadata) for match in found.matches] == [("a", 0, {"n": 1})]
        info = await indexes.info("made", **account)
        assert info is not None
        assert (info.dimensions, info.vector_count) == (3, 2)
        page = await indexes.list_vectors("made", **account, count=1)
        assert page is not None
        assert (page.total_count, page.is_truncated, [vector.id for vector in page.vectors]) == (2, True, ["a"])
        rest = await indexes.list_vectors("made", **account, count=1, cursor=str(page.next_cursor))
        assert rest is not None
        assert ([vector.id for vector in rest.vectors], rest.is_truncated) == (["b"], False)
        await indexes.delete_by_ids("made", **account, ids=["a"])
        assert await indexes.get_by_ids("made", **account, ids=["a", "b"]) == [
            {"id": "b", "values": [0, 1, 0], "metadata": {"n": 2}}
        ]
        await indexes.delete("made", **account)
        with pytest.raises(NotFoundError):
            await indexes.get("made", **account)


async def test_what_is_written_is_found_by_the_worker(pilot: Served) -> None:
    status, envelope = await api(pilot, "POST", "/docs/upsert", NDJSON)
    assert (status, envelope["success"]) == (200, True)
    assert await pilot.ask() == (200, '[["a",{"n":1}],["b",{"n":2}]]')


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [("GET", "/none", None, (404, 3000)), ("POST", "/docs/insert", b"{", (400, 40000)),
     ("POST", "", {"name": "docs", "config": {"dimensions": 3, "metric": "cosine"}}, (409, 3002)),
     ("POST", "", {"name": "x", "config": {"dimensions": 0, "metric": "cosine"}}, (400, 40000)),
     ("POST", "", {"name": "x", "config": {"preset": "y"}}, (400, 40000)),
     ("POST", "/docs/query", {"vector": [1]}, (400, 40006)), ("POST", "/docs/query", {"vectorId": "z"}, (400, 40000)),
     ("GET", "/docs/list?count=0", None, (400, 10026)), ("PATCH", "/docs", None, (405, 10405)),
     ("POST", "/docs/metadata_index/create", {"propertyName": "n", "indexType": "date"}, (400, 40000))],
)  # fmt: skip
async def test_what_is_refused(pilot: Served, method: str, path: str, body: Any, refusal: tuple[int, int]) -> None:
    status, envelope = await api(pilot, method, path, body)
    assert (status, envelope["errors"][0]["code"]) == refusal
    assert envelope["success"] is False


async def test_commands_beside_a_running_server(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG.partition("[pilot")[0])
    (tmp_path / "vectors.ndjson").write_bytes(NDJSON)

    def run(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-P", "-m", "runtime.cli", "vectorize", *words]
        done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, text=True)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stderr if code else done.stdout

    async with serving(tmp_path) as pilot:
        assert (await pilot.ask())[0] == 500
        output = run("create", "docs", "--dimensions", "3", "--metric", "cosine")
        assert '[[vectorize]]\nbinding = "DOCS"\nindex_name = "docs"' in output
        assert await pilot.ask() == (200, "[]")
        run("create-metadata-index", "docs", "--property-name", "n", "--type", "number")
        assert "Inserted 2 vectors" in run("insert", "docs", "--file", "vectors.ndjson")
        assert await pilot.ask() == (200, '[["a",{"n":1}],["b",{"n":2}]]')
        found = json.loads(run("query", "docs", "--vector", "1 0 0", "--filter", '{"n": 2}', "--return-values"))
        assert found == {"count": 1, "matches": [{"id": "b", "score": 0, "values": [0, 1, 0]}]}
        assert json.loads(run("query", "docs", "--vector-id", "a", "--top-k", "1"))["matches"][0]["id"] == "a"
        assert json.loads(run("get-vectors", "docs", "--ids", "a", "--ids", "b")) == LINES
        assert json.loads(run("info", "docs"))["vectorCount"] == 2
        assert json.loads(run("list-metadata-index", "docs"))["metadataIndexes"][0]["propertyName"] == "n"
        run("delete-vectors", "docs", "--ids", "b")
        assert await pilot.ask() == (200, '[["a",{"n":1}]]')
        assert "already" in run("create", "docs", "--preset", "@cf/baai/bge-small-en-v1.5", code=3)
        assert "--dimensions" in run("create", "other", code=2)
        run("delete", "docs", "--force")
        assert json.loads(run("list")) == []


async def test_the_commands_that_are_shown(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    vectors = [{"id": str(number), "values": [number] * 384, "metadata": {}} for number in range(1, 4)]
    (tmp_path / "vectors.ndjson").write_text("\n".join(map(json.dumps, vectors)))
    out = ""
    for line in DOCS.partition("```sh\npilot vectorize")[2].partition("```")[0].splitlines():
        words = shlex.split(line.removeprefix("pilot vectorize"))
        command = [sys.executable, "-P", "-m", "runtime.cli", "vectorize", *words]
        done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
        out = done.stdout
    assert json.loads(out)["count"] == 3


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_is_content(host: Host, tmp_path: Path, version: str) -> None:
    name = "w" + version.replace(".", "-")
    folder = worker(tmp_path / "app", ENTRY, PYTHON)
    (folder / "vectors.ndjson").write_bytes(NDJSON)
    token = (await host.cli("host", "--data", str(host.data), "token", "create", name)).strip()

    async def run(*words: str) -> str:
        return await on_host(version, "vectorize", *words, url=host.url, token=token, folder=folder)

    await run("create", name, "--dimensions", "3", "--metric", "cosine")
    assert name in await run("list")
    await run("create-metadata-index", name, "--property-name", "n", "--type", "number")
    await run("insert", name, "--file", "vectors.ndjson")
    assert '"vectorCount": 2' in await run("info", name, "--json")
    output = await run("query", name, "--vector", "1", "0", "0", "--top-k", "1", "--return-metadata", "all")
    assert '"id": "a"' in output
    assert '"n": 1' in output
    assert '"id": "b"' in await run("get-vectors", name, "--ids", "b")
    await run("delete-vectors", name, "--ids", "b")
    await run("delete", name, "--force")
