"""Data folders of earlier releases serve as they are.

Each archive in ``formats/`` was written by a host of its time through its API. ``schema-1`` is from 1efb0f9, the first
that kept one, and every release since has the same schema.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from hosting import hosting, says, worker
from runtime.host.store.registry import SCHEMA_VERSION

pytestmark = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")

FORMATS = Path(__file__).with_name("formats")


@pytest.mark.parametrize("schema", range(1, SCHEMA_VERSION + 1))
async def test_a_folder_of_an_earlier_release(tmp_path: Path, schema: int) -> None:
    with tarfile.open(FORMATS / f"schema-{schema}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    async with hosting(tmp_path / "data") as host:
        told = ["two", "t", {"a": [1]}, "a sealed text", 7, "a text", True]
        assert json.loads((await host.get("app"))[1]) == told
        assert (await host.get("app", headers={"host": "app.example.com"}))[0] == 200
        assert {(await host.get("shares"))[1] for _ in range(60)} == {"old", "new"}
        assert await host.get("back") == (200, "first")
        rows = (await host.api("GET", "scripts/app/versions"))[1]["result"]["items"]
        assert [row["number"] for row in rows] == [3, 2, 1]
        assert rows[-1]["annotations"] == {
            "workers/message": "the first", "workers/tag": "v1", "workers/triggered_by": "upload",
        }  # fmt: skip
        assert [row["name"] for row in (await host.api("GET", "scripts/early/secrets"))[1]["result"]] == ["KEY"]
        assert "gone" in await host.cli("host", "--data", str(host.data), "token", "list")
        folder = worker(tmp_path / "app", says("three"))
        await host.cli("rollback", "1", cwd=folder)
        assert json.loads((await host.get("app"))[1])[:4] == ["one", "t", {"a": [1]}, None]
        await host.deploy(folder)
        assert await host.get("app") == (200, "three")
        assert await host.cli("secret", "list", cwd=folder) == "KEY\n"
