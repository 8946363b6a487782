"""A pilot that serves the workflows of tests/workflows, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from serving import Served, serving, write

TESTS = Path(__file__).parents[1] / "workflows"
CONFIG = """
[[workflows]]
binding = "WF"
name = "cases"
class_name = "Cases"
"""


@asynccontextmanager
async def running(folder: Path, config: str = CONFIG, entry: str = "") -> AsyncIterator[Served]:
    (folder / "notes").mkdir(exist_ok=True)
    files = {name: (TESTS / name).read_text("utf-8") for name in ("cases.py", "lives.py", "noting.py")}
    entry = entry or (TESTS / "workflows_worker.py").read_text("utf-8")
    config = f'{config}[vars]\nNOTES = "{folder / "notes"}"\n'
    write(folder / "app", entry, config, files)
    async with serving(folder / "app") as pilot:
        yield pilot


def notes(pilot: Served) -> Path:
    """The folder where the worker writes what it runs, which no save of its own is."""
    return pilot.folder.parent / "notes"


async def asks(pilot: Served, what: str, **asked: Any) -> Any:
    """What a route of the worker's gives, or [name, message] of what it raises."""
    async with pilot.http.post(f"{pilot.url}/{what}", json=asked) as response:
        assert response.status == 200, await response.text()
        answer = await response.json()
    return answer["result"] if "result" in answer else answer["error"]


async def output(pilot: Served, case: str, **params: Any) -> Any:
    """Of an instance that runs this case."""
    found = await asks(pilot, "case", case=case, params=params)
    assert found["status"] == "complete", found
    return found["output"]


async def noted(pilot: Served, text: str, within: float = 30.0) -> list[str]:
    """What the worker has noted, once it has noted this."""
    path = notes(pilot) / "ran.txt"
    async with asyncio.timeout(within):
        while not path.exists() or text not in path.read_text().splitlines():
            await asyncio.sleep(0.01)
    return path.read_text().splitlines()


async def reaches(pilot: Served, id: str, status: str, binding: str = "WF", within: float = 30.0) -> Any:
    """The instance's state, once it is this."""
    async with asyncio.timeout(within):
        while (found := await asks(pilot, "on_instance", binding=binding, id=id, method="status"))["status"] != status:
            await asyncio.sleep(0.02)
    return found
