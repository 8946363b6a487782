"""Durable Objects as a worker uses them: every case is a function of objects_worker.py or storage_cases.py."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

WORKER, STORAGE = ((Path(__file__).parent / name).read_text() for name in ("objects_worker.py", "storage_cases.py"))
CONFIG = """
[[durable_objects.bindings]]
name = "THINGS"
class_name = "Thing"
[[durable_objects.bindings]]
name = "OTHERS"
class_name = "Other"
[[durable_objects.bindings]]
name = "CLOSED"
class_name = "Closed"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Thing", "Other", "Closed", "Unbound"]
"""
STREAMED = "a_stream_passes_through"
CASES = [
    name
    for name in (
        *re.findall(r"^async def (\w+)\((?:ctx, )?env\)", WORKER, re.MULTILINE),
        *re.findall(r"^async def (inside_\w+)\(self\):", WORKER + STORAGE, re.MULTILINE),
    )
    if name != STREAMED
]
PARTS = {  # of other cases
    "inside_process", "inside_increment", "inside_value", "inside_log", "inside_blocks", "inside_block_fails",
    "inside_kept", "inside_waits", "inside_aborts", "inside_wait_until", "inside_later", "inside_alarm_is",
    "inside_alarm_deleted",
}  # fmt: skip

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("objects")
    write(folder, WORKER, CONFIG, {"storage_cases.py": STORAGE})
    async with serving(folder) as running:
        yield running


@pytest.mark.parametrize("case", [case for case in CASES if case not in PARTS])
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n"), pilot.log()[-3000:]


async def test_a_stream_passes_through(pilot: Served) -> None:
    assert await pilot.ask(f"/{STREAMED}") == (200, "part 0\npart 1\npart 2\n")
