"""KV over Cloudflare's REST API: beside ``pilot dev``, on a host, with the ``cloudflare`` client, with Wrangler."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare, NotFoundError
from yarl import URL

from hosting import Host, hosting, worker
from serving import Served, serving, write
from wrangler_support import WRANGLERS, on_host

ENTRY = """
from workers import Response
async def fetch(request, env):
    return Response(str(await env.KV.get("k")))
"""
CONFIG = '[[kv_namespaces]]\nbinding = "KV"\nid = "notes"\n'
PYTHON = 'compatibility_date = "2025-09-01"\ncompatibility_flags = ["python_workers"]\n'
ROOT = "/client/v4/accounts/a/storage/kv/namespaces"
ONE = f"{ROOT}/notes"
TOKEN = {"authorization": "Bearer any"}

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


async def api(pilot: Served, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """(status, envelope)."""
    given = {"json": body} if isinstance(body, list | dict) else {"data": body}
    async with pilot.http.request(method, pilot.url + path, headers=TOKEN, **given, **options) as response:
        return response.status, await response.json()


def complaint(answer: tuple[int, Any]) -> tuple[int, int, str]:
    """(status, code, message) of a refusal."""
    status, envelope = answer
    assert (envelope["success"], envelope["result"]) == (False, None)
    [error] = envelope["errors"]
    return status, error["code"], error["message"]


async def test_values(pilot: Served) -> None:
    for key in ("k", "a/b c", "é%?#", "1" * 512):
        path = f"{ONE}/values/{_quoted(key)}"
        status, envelope = await api(pilot, "PUT", path, f"of {key}")
        assert (status, envelope["success"], envelope["result"]) == (200, True, None)
        async with pilot.http.get(_url(pilot, path), headers=TOKEN) as response:
            assert (response.status, await response.text()) == (200, f"of {key}")
            assert response.headers["content-type"] == "application/octet-stream"
    assert await pilot.ask("/") == (200, "of k")
    assert (await api(pilot, "DELETE", f"{ONE}/values/k"))[0] == 200
    assert complaint(await api(pilot, "GET", f"{ONE}/values/k")) == (404, 10009, "get: 'key not found'")
    assert complaint(await api(pilot, "GET", f"{ONE}/metadata/k"))[1] == 10009
    assert await pilot.ask("/") == (200, "None")


def _quoted(key: str) -> str:
    return quote(key, safe="")


def _url(pilot: Served, path: str) -> URL:
    return URL(pilot.url + path, encoded=True)


async def test_what_is_refused(pilot: Served) -> None:
    assert complaint(await api(pilot, "GET", f"{ROOT}/nope/keys")) == (404, 10013, "namespace not found")
    assert complaint(await api(pilot, "PUT", f"{ONE}/values/{'k' * 513}", "x"))[0] == 414
    text = "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."
    assert complaint(await api(pilot, "PUT", f"{ONE}/values/k?expiration_ttl=59", "x")) == (400, 10029, text)
    assert complaint(await api(pilot, "GET", f"{ONE}/nothing"))[:2] == (404, 7003)
    assert complaint(await api(pilot, "PATCH", f"{ONE}/keys"))[:2] == (405, 10405)
    assert complaint(await api(pilot, "PUT", f"{ONE}/bulk", "{"))[:2] == (400, 10026)
    assert complaint(await api(pilot, "PUT", f"{ONE}/bulk", [{"key": "k"}]))[:2] == (400, 10026)
    assert complaint(await api(pilot, "GET", f"{ONE}/keys?limit=1001"))[:2] == (400, 10026)
    large = [{"key": "k", "value": "x", "metadata": "m" * 2000}]
    assert "'k': Metadata length of 2002 exceeds limit of 1024." in complaint(
        await api(pilot, "PUT", f"{ONE}/bulk", large)
    )
    async with pilot.http.get(pilot.url + ROOT) as response:
        assert (response.status, (await response.json())["errors"][0]["code"]) == (400, 9106)


async def test_several(pilot: Served) -> None:
    pairs = [{"key": f"bulk/{n:03}", "value": str(n), "metadata": {"n": n}} for n in range(250)]
    coded = base64.b64encode(b"\0\xff").decode()
    pairs += [{"key": "bulk/bytes", "value": coded, "base64": True, "expiration_ttl": 300}]
    status, envelope = await api(pilot, "PUT", f"{ONE}/bulk", pairs)
    assert (status, envelope["result"]) == (200, {"successful_key_count": 251, "unsuccessful_keys": []})
    _, page = await api(pilot, "GET", f"{ONE}/keys?prefix=bulk/&limit=200")
    assert (len(page["result"]), page["result_info"]["count"]) == (200, 200)
    _, rest = await api(pilot, "GET", f"{ONE}/keys?prefix=bulk/&cursor={page['result_info']['cursor']}")
    assert (len(rest["result"]), rest["result_info"]["cursor"]) == (51, "")
    assert rest["result"][0] == {"name": "bulk/200", "metadata": {"n": 200}}
    assert rest["result"][-1].keys() == {"name", "expiration"}
    wanted = {"keys": ["bulk/001", "none"], "withMetadata": True}
    _, found = await api(pilot, "POST", f"{ONE}/bulk/get", wanted)
    assert found["result"]["values"] == {"bulk/001": {"value": "1", "metadata": {"n": 1}}, "none": None}
    _, found = await api(pilot, "POST", f"{ONE}/bulk/get", {"keys": ["bulk/001"], "type": "json"})
    assert found["result"]["values"] == {"bulk/001": 1}
    _, found = await api(pilot, "POST", f"{ONE}/bulk/delete", [pair["key"] for pair in pairs])
    assert found["result"]["successful_key_count"] == 251
    assert (await api(pilot, "GET", f"{ONE}/keys?prefix=bulk/"))[1]["result"] == []


async def test_a_form_has_metadata(pilot: Served) -> None:
    form = {"value": "x", "metadata": '{"a": 1}'}
    async with pilot.http.put(pilot.url + f"{ONE}/values/form", data=_form(form), headers=TOKEN) as response:
        assert response.status == 200
    assert (await api(pilot, "GET", f"{ONE}/metadata/form"))[1]["result"] == {"a": 1}
    async with pilot.http.put(
        pilot.url + f"{ONE}/values/form", data=_form({"value": "x", "metadata": "{"})
    ) as response:
        assert response.status == 400


def _form(fields: dict[str, str]) -> Any:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def test_namespaces(pilot: Served) -> None:
    _, made = await api(pilot, "POST", ROOT, {"title": "second"})
    id = made["result"]["id"]
    assert made["result"] == {"id": id, "title": "second", "supports_url_encoding": True}
    assert complaint(await api(pilot, "POST", ROOT, {"title": "second"}))[:2] == (400, 10014)
    _, listed = await api(pilot, "GET", f"{ROOT}?per_page=1&page=2&order=title")
    assert [item["title"] for item in listed["result"]] == ["second"]
    assert listed["result_info"] == {"page": 2, "per_page": 1, "count": 1, "total_count": 2}
    assert (await api(pilot, "GET", f"{ROOT}?page=3&per_page=1"))[1]["result"] == []
    _, changed = await api(pilot, "PUT", f"{ROOT}/{id}", {"title": "renamed"})
    assert changed["result"]["title"] == "renamed"
    assert (await api(pilot, "GET", f"{ROOT}/{id}"))[1]["result"]["title"] == "renamed"
    await api(pilot, "PUT", f"{ROOT}/{id}/values/k", "x")
    assert (await api(pilot, "DELETE", f"{ROOT}/{id}"))[0] == 200
    assert complaint(await api(pilot, "GET", f"{ROOT}/{id}/values/k"))[1] == 10013
    assert complaint(await api(pilot, "DELETE", f"{ROOT}/{id}"))[1] == 10013


async def test_a_namespace_that_is_removed_begins_anew(pilot: Served) -> None:
    await api(pilot, "PUT", f"{ONE}/values/k", "x")
    assert await pilot.ask("/") == (200, "x")
    await api(pilot, "DELETE", ONE)
    assert await pilot.ask("/") == (200, "None")


async def test_the_cloudflare_client(pilot: Served) -> None:
    client = AsyncCloudflare(api_token="any", base_url=f"{pilot.url}/client/v4", max_retries=0)
    async with client:
        kv: Any = client.kv.namespaces
        made = await kv.create(account_id="a", title="client's")
        where = {"account_id": "a", "namespace_id": made.id}
        assert "client's" in [item.title async for item in kv.list(account_id="a")]
        await kv.values.update("k", **where, value=b"v", metadata={"a": 1})
        assert await (await kv.values.get("k", **where)).read() == b"v"
        assert await kv.metadata.get("k", **where) == {"a": 1}
        await kv.bulk_update(**where, body=[{"key": "b", "value": "w"}])
        assert [item.name async for item in kv.keys.list(**where)] == ["b", "k"]
        found = await kv.bulk_get(**where, keys=["b", "k"])
        assert found.values == {"b": "w", "k": "v"}
        await kv.bulk_delete(**where, body=["b"])
        await kv.values.delete("k", **where)
        with pytest.raises(NotFoundError, match="key not found"):
            await kv.values.get("k", **where)
        await kv.delete(**where)


async def test_a_token_of_ones_own_counts(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path, env={"PILOT_API_TOKEN": "söcret"}) as running:
        for token, status in (("any", 403), ("söcret", 200)):
            headers = {"authorization": f"Bearer {token}"}
            async with running.http.get(running.url + ROOT, headers=headers) as response:
                assert (response.status, (await response.json())["success"]) == (status, status == 200)


async def test_a_hosts_tokens_count(host: Host) -> None:
    reader = (await host.cli("host", "--data", str(host.data), "token", "create", "r", "--scope", "read")).strip()
    writer = (await host.cli("host", "--data", str(host.data), "token", "create", "w", "--scope", "deploy")).strip()

    async def ask(method: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as stranger,
            stranger.request(method, f"{host.url}{ONE}/values/k", headers=headers, data="v") as response,
        ):
            return response.status

    assert [await ask("PUT", token) for token in ("", "wrong", reader, writer)] == [400, 403, 403, 200]
    assert [await ask("GET", token) for token in ("", "wrong", reader, writer)] == [400, 403, 200, 200]
    assert await host.get("app") == (200, "v")
    audit = await host.cli("host", "--data", str(host.data), "audit")
    assert "PUT     /client/v4/accounts/a/storage/kv/namespaces/notes/values/k  w" in audit


async def test_the_commands_speak_to_a_host(host: Host, tmp_path: Path) -> None:
    host.token = (await host.cli("host", "--data", str(host.data), "token", "create", "c")).strip()
    folder = worker(tmp_path, ENTRY, CONFIG)
    where = ("--host", host.url)
    output = await host.cli("kv", "key", "put", "k", "by command", "--metadata", "[1]", *where, cwd=folder)
    assert output == 'Writing the value "by command" to key "k" on namespace binding: "KV" (id: "notes").\n'
    assert await host.get("app") == (200, "by command")
    assert await host.cli("kv", "key", "get", "k", *where, cwd=folder) == "by command"
    assert json.loads(await host.cli("kv", "key", "list", *where, cwd=folder)) == [{"name": "k", "metadata": [1]}]
    assert "id" in json.loads(await host.cli("kv", "namespace", "create", "new", "--json", *where, cwd=folder))
    titles = [item["title"] for item in json.loads(await host.cli("kv", "namespace", "list", *where, cwd=folder))]
    assert titles == ["new", "notes"]
    output = await host.cli("kv", "key", "get", "k", "--namespace-id", "none", *where, cwd=folder, fails=True)
    assert "namespace not found" in output
    host.token = "wrong"
    assert "Authentication error" in await host.cli("kv", "key", "list", *where, cwd=folder, fails=True)


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_is_content(host: Host, tmp_path: Path, version: str) -> None:
    folder = worker(tmp_path / "app", ENTRY, PYTHON + CONFIG)
    (folder / "many.json").write_text('[{"key": "m1", "value": "1"}, {"key": "m2", "value": "2"}]')
    (folder / "keys.json").write_text('["m1", "m2"]')
    (tmp_path / "value.bin").write_bytes(b"\0\xff")
    token = (await host.cli("host", "--data", str(host.data), "token", "create", f"w{version}")).strip()

    async def run(*words: str) -> str:
        return await on_host(version, "kv", *words, url=host.url, token=token, folder=folder)

    made = await run("namespace", "create", f"made-{version}")
    assert f"made-{version}" in await run("namespace", "list")
    id = next(item["id"] for item in json.loads(await run("namespace", "list")) if item["title"] == f"made-{version}")
    assert id in made
    where = ("--remote", "--namespace-id", id)
    await run("key", "put", "k/1", "v", "--metadata", '{"a": 1}', "--ttl", "300", *where)
    assert (await run("key", "get", "k/1", *where)).strip() == "v"
    [listed] = json.loads(await run("key", "list", *where))
    assert (listed["name"], listed["metadata"]) == ("k/1", {"a": 1})
    await run("key", "put", "file", "--path", str(tmp_path / "value.bin"), *where)
    await run("key", "delete", "k/1", *where)
    await run("bulk", "put", "many.json", *where)
    assert [item["name"] for item in json.loads(await run("key", "list", *where))] == ["file", "m1", "m2"]
    assert '"m2"' in await run("bulk", "get", "keys.json", *where)
    await run("bulk", "delete", "keys.json", "--force", *where)
    assert [item["name"] for item in json.loads(await run("key", "list", *where))] == ["file"]
    await run("namespace", "delete", "--namespace-id", id)
