"""Half a surrogate pair, as a client sends it that has cut a text within an emoji, is no failure anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import serving, write

WORKER = """
from js import JSON
from workers import Blob, DurableObject, FormData, Request, Response, WorkerEntrypoint

class Kept(DurableObject):
    async def keep(self, text):
        await self.ctx.storage.put("text", {"cut": [text + chr(0xD83D)]})
        return await self.ctx.storage.get("text")

class Other(WorkerEntrypoint):
    async def echo(self, value):
        return value

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        cut, env = (await request.json())["cut"], self.env
        async def stream():
            yield cut
        form = FormData()
        form.append(cut, cut)
        await env.KV.put(cut, cut, metadata={cut: cut})
        found = await env.KV.getWithMetadata(cut)
        answers = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": cut})
        texts = [
            await Response(cut).text(), await Response(stream()).text(), await Blob([cut]).text(),
            await Request("http://a/", method="POST", body=cut).text(), found.value, *found.metadata.to_py().popitem(),
            await env.OTHER.echo(cut), (await env.OTHER.echo({"a": [cut]}))["a"][0], answers["response"],
            (await env.KEPT.getByName(cut).keep("a"))["cut"][0],
        ]
        whole = await Response(form).text()
        return Response.json({"texts": texts, "form": whole.count("a\\ufffd"), "js": JSON.stringify(cut), "same": cut})
"""
CONFIG = """
compatibility_date = "2026-10-01"
ai = { binding = "AI" }
kv_namespaces = [{ binding = "KV", id = "kv" }]
services = [{ binding = "OTHER", service = "test", entrypoint = "Other" }]
durable_objects.bindings = [{ name = "KEPT", class_name = "Kept" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Kept"] }]
"""


@pytest.mark.asyncio
async def test_half_a_surrogate_pair_is_no_failure(tmp_path: Path) -> None:
    write(tmp_path, WORKER, CONFIG)
    async with serving(tmp_path) as pilot, pilot.http.post(pilot.url, data=rb'{"cut": "a\ud83d"}') as answer:
        text = await answer.text()
        assert answer.status == 200, text
        assert (await answer.json()) == {
            "texts": ["a\ufffd"] * 11, "form": 2, "js": '"a\\ud83d"', "same": "a\ud83d",
        }  # fmt: skip
