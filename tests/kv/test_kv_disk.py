"""KV on a disk without one byte left: what is refused says why, what answers goes on, and room heals it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hosting import hosting, worker

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is not installed

from bench.faults.disk import fill, may_mount, seen_by, small_disk  # noqa: E402

pytestmark = pytest.mark.skipif(not may_mount(), reason="a disk of its own needs Linux's user namespaces")
ENTRY = """
from workers import URL, Response

async def fetch(request, env):
    name, size = URL(request.url).pathname.strip("/").split("/")
    try:
        await env.KV.put(name, "x" * int(size))
    except Exception as error:
        return Response(str(error), status=507)
    return Response(str(len(await env.KV.get(name))))
"""


async def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder = worker(tmp_path / "app", ENTRY, '[[kv_namespaces]]\nbinding = "KV"\nid = "notes"\n')
    async with hosting(data, before=small_disk(data, 12)) as host:
        await host.deploy(folder)
        assert await host.get("app", "/small/1000") == (200, "1000")
        assert await host.get("app", "/large/300000") == (200, "300000")
        filler = fill(seen_by(host.process.pid, data))
        for size in (90_000, 300_000):
            status, text = await host.get("app", f"/small/{size}")
            assert (status, text.startswith("Error: KV PUT failed: 500 ")) == (507, True), text
            assert "disk is full" in text or "No space left" in text
        url = f"{host.url}/client/v4/accounts/host/storage/kv/namespaces/notes/values/"
        for name, size in (("small", 1000), ("large", 300_000)):
            async with host.http.get(url + name) as response:
                assert await response.text() == "x" * size
        filler.unlink()
        assert await host.get("app", "/small/90000") == (200, "90000")
        assert await host.get("app", "/large/200000") == (200, "200000")
        blobs = seen_by(host.process.pid, data) / "state/kv/notes/blobs"
        assert len(list(blobs.iterdir())) == 1
