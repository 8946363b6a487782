"""What a worker of the first form, ``on_fetch``, is handed: proxies, whose members are attributes, with ``to_py()``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving import serving, write

ENTRY = """
import json
import js

async def on_fetch(request, env):
    asked = await request.json()
    assert isinstance(asked, dict)
    await env.BUCKET.put("a", "b")
    rows = await env.DB.prepare("SELECT 1 AS one, NULL AS none").all()
    listed = await env.BUCKET.list()
    return js.Response.new(json.dumps([
        asked.job.number, asked.to_py(), asked.tags, asked.none, rows.results[0].one,
        [one.key for one in listed.objects], json.loads(js.JSON.stringify(rows.results)),
    ]))
"""
CONFIG = """
d1_databases = [{ binding = "DB", database_name = "db" }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
"""


@pytest.mark.asyncio
async def test_what_is_handed_over_are_proxies(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    sent = {"job": {"number": 1}, "tags": ["a", "b"], "none": None}
    row = {"one": 1, "none": None}
    async with serving(tmp_path) as pilot:
        status, text = await pilot.ask("/", "POST", json=sent)
        assert (status, json.loads(text)) == (200, [1, sent, ["a", "b"], None, 1, ["a"], [row]])
        assert (await pilot.ask("/", "POST", data="{"))[0] == 500


DOCUMENTED = """
import json
import js
from js import Response as JsResponse
from workers import Response, WorkerEntrypoint, fetch

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        origin, _, path = request.url.rpartition("/")
        if path == "named":
            body = await request.json()
            return Response.json([body.of[0].name, json.dumps(body), type(body["of"][0]["whole"]).__name__])
        if path == "copied":
            response = await fetch(origin + "/page")
            headers = response.headers
            headers["x-a"] = "b"
            del headers["x-gone"], headers["x-never"]
            return Response(response.body, headers=headers, statusText="Fine")
        if path == "handed":
            return js.fetch(origin + "/page")
        if path == "object":
            return JsResponse.new({"error": "x"}, status=500)
        if path == "number":
            return JsResponse.new(5.0)
        return Response("page", headers={"x-gone": "1"})
"""


@pytest.mark.asyncio
async def test_what_cloudflares_documentation_does(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTED)
    sent = {"of": [{"name": "a", "whole": 1.0}]}
    async with serving(tmp_path) as pilot:
        _, text = await pilot.ask("/named", "POST", json=sent)
        assert json.loads(text) == ["a", json.dumps(sent), "float"]
        async with pilot.http.get(f"{pilot.url}/copied") as response:
            assert (response.headers["x-a"], "x-gone" in response.headers) == ("b", False)
            assert await response.text() == "page"
        assert await pilot.ask("/handed") == (200, "page")
        assert await pilot.ask("/object") == (500, "{'error': 'x'}")
        assert await pilot.ask("/number") == (200, "5")


OLDER = """
from js import Response
from workers import DurableObject, WorkerEntrypoint
import packed

class Kept(DurableObject):
    async def on_fetch(self, request, env, ctx):
        return Response.new((await request.json()).named)

class Default(WorkerEntrypoint):
    async def on_fetch(self, request):
        if request.url.endswith("/packed"):
            return Response.new(packed.text)
        return self.env.KEPT.getByName("a").fetch(request)
"""


@pytest.mark.asyncio
async def test_a_class_with_handlers_called_as_a_modules_and_packages_beside_it(tmp_path: Path) -> None:
    config = """
    durable_objects.bindings = [{ name = "KEPT", class_name = "Kept" }]
    migrations = [{ tag = "1", new_sqlite_classes = ["Kept"] }]
    """
    write(tmp_path, OLDER, config, {"vendor/packed/__init__.py": "text = 'vendored'"})
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/packed") == (200, "vendored")
        assert await pilot.ask("/", "POST", json={"named": "object"}) == (200, "object")
