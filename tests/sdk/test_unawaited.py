"""What a worker asks for without ``await`` is done, in the order asked for, as where it has promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = """
import asyncio
import js
from js import FixedLengthStream, TransformStream
from workers import DurableObject, Response, WorkerEntrypoint

class Box(DurableObject):
    async def keeps(self):
        self.ctx.storage.put("a", 5)
        read = await self.ctx.storage.get("a")
        self.ctx.storage.setAlarm(9999999999999)
        return [read, await self.ctx.storage.getAlarm()]

async def own():
    print("the script's own has run")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await getattr(self, js.URL.new(request.url).pathname[1:])()

    async def puts(self):
        self.env.KV.put("a", "b")
        self.env.KV.put("", "refused")
        own()
        return Response("put")

    async def gets(self):
        return Response(await self.env.KV.get("a"))

    async def object(self):
        return Response.json(await self.env.BOX.getByName("a").keeps())

    async def writes(self):
        through = TransformStream.new()
        writer = through.writable.getWriter()
        for number in range(40):
            writer.write(f"{number} ")
        writer.close()
        return Response(through.readable)

    async def pipes(self):
        through = FixedLengthStream.new(5)
        piped = js.Response.new("hello").body.pipeTo(through.writable)
        kept = await self.env.BUCKET.put("a", through.readable)
        await piped
        return Response(str(kept.size))
"""
CONFIG = """
compatibility_date = "2026-11-01"
kv_namespaces = [{ binding = "KV", id = "kv" }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
durable_objects.bindings = [{ name = "BOX", class_name = "Box" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Box"] }]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("unawaited")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as served:
        yield served


async def test_a_binding_is_asked_all_the_same_and_a_refusal_is_told(pilot: Served) -> None:
    assert await pilot.ask("/puts") == (200, "put")
    await pilot.says("Key name cannot be empty")
    assert await pilot.ask("/gets") == (200, "b")
    said = await pilot.says("RuntimeWarning: coroutine 'own' was never awaited")
    assert "entry.py:" in said["text"]
    assert "the script's own has run" not in [event.get("text") for event in pilot.events]


async def test_an_object_reads_what_it_has_asked_to_be_kept(pilot: Served) -> None:
    assert await pilot.ask("/object") == (200, "[5,9999999999999]")


async def test_what_is_written_without_waiting_comes_in_order_and_whole(pilot: Served) -> None:
    assert await pilot.ask("/writes") == (200, "".join(f"{number} " for number in range(40)))


async def test_a_pipe_flows_before_it_is_waited_for(pilot: Served) -> None:
    assert await pilot.ask("/pipes") == (200, "5")
