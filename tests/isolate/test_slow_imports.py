"""A worker that is long in coming, or never comes: the banner stands at once and says what it waits for."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from dev_server import StartPilot
from serving import write

WAIT = """
from pathlib import Path
import time
while not Path({!r}).exists():
    time.sleep(0.05)
"""
HANGS = """
from workers import Response

def deeper():
    while True:
        pass

async def fetch(request):
    if request.method == "POST":
        deeper()
    return Response("fine")
"""


async def test_a_slow_import_at_the_start(start_pilot: StartPilot, tmp_path: Path) -> None:
    go, library = tmp_path / "go", tmp_path / "python_modules/slowlib/__init__.py"
    write(tmp_path, "import helper\n" + HANGS, files={"helper.py": "import slowlib.part"})
    library.parent.mkdir(parents=True)
    library.write_text("")
    (library.parent / "part.py").write_text(WAIT.format(str(go)))
    pilot = await start_pilot(tmp_path, ready=False)
    url = (await pilot.event("banner"))["url"]
    said = await pilot.event("importing")
    assert (said["script"], said["what"], said["url"]) == ("entry.py", "slowlib", url)
    async with aiohttp.ClientSession() as http:
        early = asyncio.create_task(http.get(url))
        await pilot.event("importing", seconds=2)
        assert not early.done()
        assert not [line for line in pilot.events if line["event"] == "ready"]
        go.touch()
        async with await early as response:
            assert response.status == 200
    await pilot.event("ready")


async def test_an_endless_import_can_be_left(start_pilot: StartPilot, tmp_path: Path) -> None:
    write(tmp_path, "while True:\n    pass\n")
    pilot = await start_pilot(tmp_path, ready=False)
    assert (await pilot.event("importing"))["what"].startswith("entry.py, line ")
    assert await pilot.stop(signal.SIGINT) == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="it is what macOS does anyway")
async def test_without_forks_too(start_pilot: StartPilot, tmp_path: Path) -> None:
    write(tmp_path, HANGS)
    pilot = await start_pilot(tmp_path, env={"PILOT_SPAWN": "process"})
    async with aiohttp.ClientSession() as http:
        hanging = asyncio.create_task(http.post(pilot.url))
        assert (await pilot.event("blocked"))["where"].endswith(", in deeper")
        hanging.cancel()
