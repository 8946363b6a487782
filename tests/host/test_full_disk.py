"""A disk without one byte left: each change is refused whole, what answers goes on, and room heals all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hosting import Host, hosting, says, worker

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is not installed

from bench.faults.disk import fill, may_mount, seen_by, small_disk  # noqa: E402

pytestmark = pytest.mark.skipif(not may_mount(), reason="a disk of its own needs Linux's user namespaces")


async def test_every_change_on_a_full_disk(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", worker(tmp_path / "app", says("one"))
    async with hosting(data, before=small_disk(data, 8)) as host:
        await host.deploy(folder)
        await host.cli("secret", "put", "KEY", cwd=folder, stdin="kept")
        before = await kept(host)
        filler = fill(seen_by(host.process.pid, data))
        (folder / "entry.py").write_text(says("two"))
        for words in (["delete", "--yes"], ["deploy"], ["secret", "put", "OTHER"], ["secret", "delete", "KEY"]):
            error = await host.cli(*words, cwd=folder, stdin="x", fails=True)
            assert "Nothing was changed" in error, words
            assert await host.get("app") == (200, "one"), words
            assert await kept(host) == before, words
        filler.unlink()
        await host.deploy(folder)
        assert await host.get("app") == (200, "two")
        await host.cli("delete", "--yes", cwd=folder)
        assert (await host.get("app"))[0] == 404


async def kept(host: Host) -> list[str]:
    """All that the host says of the worker."""
    places = ("versions", "deployments", "secrets")
    return [json.dumps((await host.api("GET", f"scripts/app/{place}"))[1]["result"]) for place in places]
