"""The commands that docs/bindings/ shows are typed one after the other, beside the worker that its page shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from pages import AI, PAGES, blocks, shown
from serving import serving

VECTOR = {"id": "1", "values": [0.5] * 384, "metadata": {"city": "Paris"}}
FILES = {
    "people.sql": "INSERT INTO people (name) VALUES ('Ann');",
    "pairs.json": '[{"key": "green", "value": "1"}]',
    "keys.json": '["green"]',
    "report.pdf": "%PDF-",
    "vectors.ndjson": json.dumps(VECTOR),
}
TYPED = {
    "cron-triggers.md": "",
    "d1.md": "",
    "kv.md": "",
    "queues.md": "",
    "r2.md": "",
    "vectorize.md": AI,
    "workflows.md": "",
}
PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);"


@pytest.mark.parametrize("page", TYPED)
async def test_the_commands_that_a_page_shows(page: str, tmp_path: Path) -> None:
    shown(tmp_path, page, TYPED[page])
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    async with serving(tmp_path) as pilot:
        bookmark = ""
        for command in commands(page):
            if re.match(r"pilot (d1|vectorize) create ", command):  # what the configuration has made
                continue
            if command.startswith("pilot cron run"):
                command = command.replace("  #", f" --port {pilot.url.rpartition(':')[2]}  #")
            printed = await typed(command.replace("0000...", bookmark), tmp_path)
            if command.startswith("pilot d1 migrations create"):
                next((tmp_path / "migrations").iterdir()).write_text(PEOPLE)
            bookmark = next(iter(re.findall(r"\b[0-9a-f]{8}-[0-9a-f-]{20,}", printed)), bookmark)


def commands(page: str) -> list[str]:
    lines = "".join(blocks(page, "sh")).replace("\\\n", "").splitlines()
    return [line for line in lines if line.startswith("pilot ")]


def test_every_page_with_commands_is_typed() -> None:
    assert {page.name for page in PAGES.glob("*.md") if commands(page.name)} == set(TYPED)


async def typed(command: str, folder: Path) -> str:
    """What it prints; it has to end well."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-uc", command, cwd=folder, env={**os.environ, "PATH": path},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode == 0, (command, printed.decode())
    return printed.decode()
