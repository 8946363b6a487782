"""The short form of ``python -m bench.faults``: a few of each fault, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import sys
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
    heads, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.read_text().splitlines()]
    table = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    assert {f"`kill -9` of {what}" for what in ("the host", "the zygote", "an isolate", "a model's process")} < set(
        table
    )
    for row in table.values():
        assert (row["acknowledged and lost"], row["orphans"], row["others' errors"]) == ("0", "0", "0")
        assert int(row["times"].replace(",", "")) > 0
