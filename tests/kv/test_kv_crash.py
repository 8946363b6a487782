"""``kill -9`` in the midst of writing, again and again: what was acknowledged is there, the rest is whole or absent."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from crashes import kill_again_and_again, kills
from serving import Served, write

KILLS = kills(20)
ENTRY = """
from workers import URL, Response

LARGE = 150_000

def value_of(number):
    return f"{number} " * (LARGE // 4 if number % 10 == 0 else 20)

async def fetch(request, env):
    path = URL(request.url).pathname
    number = int(path.rpartition("/")[2])
    if path.startswith("/put/"):
        await env.KV.put(f"k{number}", value_of(number), metadata=number)
        return Response("kept")
    wrong, cursor = [], {}
    found = {}
    while True:
        page = await env.KV.list(**cursor)
        found |= {key.name: key.metadata for key in page["keys"]}
        if page.list_complete:
            break
        cursor = {"cursor": page.cursor}
    for n in range(number):
        if f"k{n}" in found and (found[f"k{n}"] != n or await env.KV.get(f"k{n}") != value_of(n)):
            wrong.append(n)
    return Response.json({"there": [n for n in range(number) if f"k{n}" in found], "wrong": wrong})
"""


async def put(pilot: Served, number: int) -> bool:
    return await pilot.ask(f"/put/{number}") == (200, "kept")


async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
    patience = aiohttp.ClientTimeout(total=300)  # for thousands of keys
    async with pilot.http.get(f"{pilot.url}/look/{tried.stop}", timeout=patience) as response:
        answer = await response.json()
    return (acknowledged - set(answer["there"])) | set(answer["wrong"])


@pytest.mark.timeout(3600)
async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, '[[kv_namespaces]]\nbinding = "KV"\nid = "notes"\n')
    assert await kill_again_and_again(tmp_path, KILLS, put, lost) > KILLS
    assert not list((tmp_path / ".pilot/state/kv/notes").glob("*-journal"))
