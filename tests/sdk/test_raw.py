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
