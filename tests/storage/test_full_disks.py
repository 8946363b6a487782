"""A disk without one byte left, and a folder that cannot be written to: each product says so in its own words, what it
kept is still read, the worker goes on, and room heals all of it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hosting import hosting, worker
from serving import ROUTER, serving

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is not installed

from bench.faults.disk import fill, may_mount, read_only, seen_by, small_disk  # noqa: E402

pytestmark = pytest.mark.skipif(not may_mount(), reason="a disk of its own needs Linux's user namespaces")
ENTRY = (
    ROUTER
    + """
from js import caches
from workers import DurableObject, Response, WorkflowEntrypoint

CACHED = "http://cached.example/"
SIZE = 300_000

class Counter(DurableObject):
    async def keep(self, text):
        await self.ctx.storage.put("text", text)

    async def kept(self):
        return await self.ctx.storage.get("text")

class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        return "done"

async def keep_kv(env, text):
    await env.KV.put("key", text)

async def kept_kv(env):
    return await env.KV.get("key")

async def keep_d1(env, text):
    await env.DB.batch([
        env.DB.prepare("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text TEXT)"),
        env.DB.prepare("INSERT OR REPLACE INTO t VALUES (1, ?)").bind(text),
    ])

async def kept_d1(env):
    return await env.DB.prepare("SELECT text FROM t").first("text")

async def keep_r2(env, text):
    await env.R2.put("key", text)

async def kept_r2(env):
    return await (await env.R2.get("key")).text()

async def keep_vectors(env, text):
    await env.DOCS.upsert([
        {"id": f"{n}", "values": [1.0] * 32, "metadata": {"text": text[:5000] if n else text[:1]}} for n in range(60)
    ])

async def kept_vectors(env):
    [found] = await env.DOCS.getByIds(["0"])
    return found.metadata.text

async def keep_cache(env, text):
    await caches.default.put(CACHED, Response(text, headers={"cache-control": "max-age=3600"}))

async def kept_cache(env):
    found = await caches.default.match(CACHED)
    return "" if found is None else await found.text()

async def keep_object(env, text):
    await env.COUNTER.getByName("one").keep(text[:100_000])

async def kept_object(env):
    return await env.COUNTER.getByName("one").kept()

async def keep_queue(env, text):
    await env.QUEUE.send(text[:100_000], delaySeconds=3600)

async def keep_workflow(env, text):
    await env.FLOW.create(params={"text": text})

async def keep_mail(env, text):
    await env.MAIL.send({"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": text})

async def keep(request, env):
    _, what, letter = URL(request.url).pathname.strip("/").split("/")
    try:
        await globals()[f"keep_{what}"](env, letter * SIZE)
    except Exception as error:
        return Response(str(error), status=507)
    return Response("kept")

async def kept(request, env):
    return Response((await globals()[f"kept_{URL(request.url).pathname.rpartition('/')[2]}"](env))[:1])

async def point(request, env):
    env.AE.writeDataPoint(blobs=["x" * 5000])
    return Response("sent")  # as upstream: nobody is told what becomes of it
"""
)
CONFIG = """
compatibility_date = "2026-01-01"
[[kv_namespaces]]
binding = "KV"
id = "notes"
[[d1_databases]]
binding = "DB"
database_name = "people"
database_id = "11111111-2222-4333-8444-555555555555"
[[r2_buckets]]
binding = "R2"
bucket_name = "files"
[[vectorize]]
binding = "DOCS"
index_name = "docs"
[pilot.vectorize.docs]
dimensions = 32
metric = "euclidean"
[[analytics_engine_datasets]]
binding = "AE"
dataset = "visits"
[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"
[[migrations]]
tag = "one"
new_sqlite_classes = ["Counter"]
[[queues.producers]]
binding = "QUEUE"
queue = "jobs"
[[workflows]]
name = "flow"
binding = "FLOW"
class_name = "Steps"
[[send_email]]
name = "MAIL"
"""
READ = ("kv", "d1", "r2", "vectors", "cache", "object")  # by the same binding
FULL = {
    "kv": "Error: KV PUT failed: 500 No space left on device",
    "d1": "Error: D1_ERROR: database or disk is full: SQLITE_FULL",
    "r2": "Error: put: No space left on device (10001)",
    "vectors": "StoreError: vectors.sqlite: database or disk is full",
    "cache": "Error: Cache put failed: No space left on device",
    "object": "(SQLite has undone the transaction: database or disk is full)",
    "queue": "Error: Queue send failed: queue.sqlite: database or disk is full (15000)",
    "workflow": "StoreError: workflow.sqlite: database or disk is full",
    "mail": "Error: the message cannot be kept: No space left on device",
}
READ_ONLY = {
    "kv": "Error: KV PUT failed: 500 Read-only file system",
    "d1": "Error: D1_ERROR: unable to open database file: SQLITE_CANTOPEN",
    "r2": "Error: put: r2.sqlite: Read-only file system (10001)",
    "vectors": "StoreError: vectors.sqlite: Read-only file system",
    "cache": "Error: Cache put failed: cache.sqlite: Read-only file system",
    "object": "CantOpenError: unable to open database file",
    "queue": "Error: Queue send failed: queue.sqlite: Read-only file system (15000)",
    "mail": "Error: the message cannot be kept: Read-only file system",
}
Ask = Callable[[str], Awaitable[tuple[int, str]]]


async def everything_keeps(ask: Ask, letter: str) -> None:
    for what in FULL:
        assert await ask(f"/keep/{what}/{letter}") == (200, "kept"), what


async def everything_says(ask: Ask, texts: dict[str, str]) -> None:
    for what, text in texts.items():
        status, answer = await ask(f"/keep/{what}/b")
        assert (status, text in answer) == (507, True), (what, answer)
    assert await ask("/point") == (200, "sent")


async def test_a_full_disk(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", worker(tmp_path / "app", ENTRY, CONFIG)
    async with hosting(data, before=small_disk(data, 24)) as host:

        async def ask(path: str) -> tuple[int, str]:
            return await host.get("app", path)

        await host.deploy(folder)
        await everything_keeps(ask, "a")
        filler = fill(seen_by(host.process.pid, data))
        await everything_says(ask, FULL)
        for what in READ[:-1]:  # an object that was reset begins anew, and marks its file for that
            assert await ask(f"/kept/{what}") == (200, "a"), what
        filler.unlink()
        await everything_keeps(ask, "c")
        for what in READ:
            assert await ask(f"/kept/{what}") == (200, "c"), what


async def test_read_only_folders(tmp_path: Path) -> None:
    """Each product's own; what Workflows has to write down is asked for at the start."""
    folder = worker(tmp_path, ENTRY, CONFIG)
    async with serving(folder) as pilot:
        await everything_keeps(pilot.ask, "a")
    products = [path for path in (folder / ".pilot/state").iterdir() if path.is_dir() and path.name != "workflows"]
    async with serving(folder, before=read_only(*products)) as pilot:
        await everything_says(pilot.ask, READ_ONLY)
        assert await pilot.ask("/keep/workflow/b") == (200, "kept")
    async with serving(folder) as pilot:
        for what in READ:
            assert await pilot.ask(f"/kept/{what}") == (200, "a"), what


async def test_a_state_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    folder = worker(tmp_path, ENTRY, CONFIG)
    state = folder / ".pilot/state"
    state.mkdir(parents=True)
    with pytest.raises(
        AssertionError, match=r"state: cannot be written: Read-only file system\n +pilot dev --persist-to"
    ):
        async with serving(folder, before=read_only(state)):
            pass
