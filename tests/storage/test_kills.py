"""``kill -9`` in the midst of writing: of vectors, of what the Cache holds, of points of Analytics Engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crashes import kill_again_and_again, kills
from serving import ROUTER, Served, write

pytestmark = pytest.mark.timeout(3600)  # for as many kills as KILLS says
ENTRY = (
    ROUTER
    + """
from js import caches
from workers import Response

DIMENSIONS, PAGE = 32, 20

def number_of(request):
    return int(URL(request.url).pathname.rpartition("/")[2])

def vector(number):
    return [float(number % 97 + at) for at in range(DIMENSIONS)]

async def insert(request, env):
    n = number_of(request)
    await env.DOCS.upsert([{"id": f"{n}-{part}", "values": vector(n), "metadata": {"n": n}} for part in range(3)])
    return Response("kept")

async def vectors(request, env):
    # How many of its three vectors are there; -1: one of them is not what was put.
    first, counts = number_of(request), {}
    ids = [f"{n}-{part}" for n in range(first, first + PAGE) for part in range(3)]
    for start in range(0, len(ids), 20):
        for found in await env.DOCS.getByIds(ids[start : start + 20]):
            n = int(found.id.partition("-")[0])
            whole = [*found["values"]] == vector(n) and found.metadata.n == n
            counts[n] = counts.get(n, 0) + 1 if whole else -100
    return Response.json({str(n): count for n, count in counts.items()})

def content(number):
    return f"{number} " * (40_000 if number % 4 == 0 else 10)

def address(number):
    return f"http://cached.example/{number}"

async def keep(request):
    n = number_of(request)
    await caches.default.put(address(n), Response(content(n), headers={"cache-control": "max-age=3600"}))
    return Response("kept")

async def cached(request):
    first, found = number_of(request), {}
    for n in range(first, first + PAGE):
        if (answer := await caches.default.match(address(n))) is not None:
            found[str(n)] = (await answer.text()) == content(n)
    return Response.json(found)

async def point(request, env):
    n = number_of(request)
    env.AE.writeDataPoint(blobs=[f"b{n}"] * 20, doubles=[n] * 20, indexes=[f"i{n}"])
    return Response("kept")
"""
)
CONFIG = """
[pilot.vectorize.docs]
dimensions = 32
metric = "euclidean"
[[vectorize]]
binding = "DOCS"
index_name = "docs"
[[analytics_engine_datasets]]
binding = "AE"
dataset = "visits"
"""
PAGE, LOOKED_AT = 20, 200  # numbers of one look; of those tried last, which are looked at after each kill


async def looked(pilot: Served, path: str, tried: range) -> dict[int, int]:
    found: dict[int, int] = {}
    for first in tried[-LOOKED_AT:][::PAGE]:
        async with pilot.http.get(f"{pilot.url}/{path}/{first}") as answer:
            found |= {int(number): what for number, what in (await answer.json()).items()}
    return found


async def test_vectors(tmp_path: Path) -> None:
    """A mutation is there whole, or not at all."""
    write(tmp_path, ENTRY, CONFIG)

    async def put(pilot: Served, number: int) -> bool:
        return await pilot.ask(f"/insert/{number}") == (200, "kept")

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        found = await looked(pilot, "vectors", tried)
        missing = {number for number in tried[-LOOKED_AT:] if number in acknowledged and number not in found}
        return missing | {number for number, count in found.items() if number in tried and count != 3}

    assert await kill_again_and_again(tmp_path, kills(6), put, lost) > 10


async def test_the_cache(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)

    async def put(pilot: Served, number: int) -> bool:
        return await pilot.ask(f"/keep/{number}") == (200, "kept")

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        found = await looked(pilot, "cached", tried)
        missing = {number for number in tried[-LOOKED_AT:] if number in acknowledged and number not in found}
        return missing | {number for number, whole in found.items() if not whole}

    assert await kill_again_and_again(tmp_path, kills(6), put, lost) > 10


async def test_points(tmp_path: Path) -> None:
    """Nobody is told that a point is kept, so the last ones may be lost; one that is there is there once and whole."""
    write(tmp_path, ENTRY, CONFIG)
    file = tmp_path / ".pilot/state/analytics_engine/visits/points.sqlite"
    kept = set[int]()

    async def put(pilot: Served, number: int) -> bool:
        return await pilot.ask(f"/point/{number}") == (200, "kept")

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        if not file.exists():
            return set()
        with closing(sqlite3.connect(file)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'visits'").fetchall():
                return kept
            rows = connection.execute("SELECT double1, double20, blob1, blob20, index1 FROM visits").fetchall()
        whole = [int(a) for a, b, first, last, index in rows if a == b and first == last == f"b{int(a)}" and index]
        wrong = kept - set(whole) or ({-1} if len({*whole}) != len(rows) else set())
        kept.update(whole)
        return wrong

    assert await kill_again_and_again(tmp_path, kills(6), put, lost) > 10
    assert len(kept) > 10
