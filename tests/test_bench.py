"""The benchmark itself: a tiny run ends in a table and a plot. What the figures are is no test."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
SMALL = ("--seconds", "0.3", "--repeats", "1", "--rounds", "2")


async def bench(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is compiled on first use")
async def test_a_tiny_run_writes_a_table_and_a_plot(tmp_path: Path) -> None:
    servers = ("--servers", "pilot", "uvicorn, raw ASGI")
    status, said = await bench("--only", "hello", "proxied", *servers, *SMALL, "--out", str(tmp_path), "--name", "tiny")
    assert status == 0, said
    table = (tmp_path / "tiny.md").read_text()
    assert "## Hello world, 64 connections" in table
    for server in ("pilot", "uvicorn, raw ASGI"):
        assert table.count(f"\n| {server} | ") == 2, said
    plot = ElementTree.parse(tmp_path / "tiny.svg").getroot()
    bars = plot.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 4, said


async def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    status, said = await bench("--only", "hello", "--servers", "nothing of that name", "--out", str(tmp_path))
    assert status == 2
    assert "nothing of that name" in said
