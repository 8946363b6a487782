"""The short form of ``python -m bench.faults``: a few of each fault, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")
async def test_nothing_is_lost_by_a_few_of_each_fault(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.faults", "--short", "--out", str(out), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    tables = dict(_tables(out.read_text()))
    for row in tables["Changes of workers"]:
        assert (row["acknowledged and lost"], row["orphans"], row["others' errors"]) == ("0", "0", "0")
    for row in tables["What workers keep"]:
        nothing = (
            "writes lost", "two instances", "messages lost", "come again after they were dealt with", "alarms lost",
            "lost, or a step run again", "orphans", "others' errors", "others' sockets closed",
        )  # fmt: skip
        assert [row[what] for what in nothing] == ["0"] * len(nothing)
        assert _number(row["writes acknowledged"]) > 0
    processes = {"an isolate", "the objects' process", "the zygote", "the host"}
    assert {row["`kill -9` of"] for row in tables["What workers keep"]} == processes
    assert {row["closed"] for row in tables["Open WebSockets"]} == {"0"}
    [stale] = tables["A process that was taken for dead and goes on"]
    assert stale["its next write was refused"] == stale["times"]
    assert len(tables["What never ends by itself"]) == 5
    assert all(_number(row["times"]) > 0 for rows in tables.values() for row in rows)


def _number(cell: str) -> int:
    return int(cell.replace(",", ""))


def _tables(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Title → its rows."""
    for part in text.split("\n## ")[1:]:
        title, _, table = part.partition("\n\n")
        heads, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()]
        yield title, [dict(zip(heads, row, strict=True)) for row in rows]
