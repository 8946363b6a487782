"""``pilot dev --debug``: an editor's breakpoints, in a worker that is saved meanwhile."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from editors import editor
from serving import Served, serving, without, write
from terminals import typed

ENTRY = """
from workers import Response

async def fetch(request, env, ctx):
    said = "one"
    return Response(said)
"""
OBJECT = """
from workers import DurableObject, Response

class Room(DurableObject):
    async def say(self):
        word = "from the room"
        return word

async def fetch(request, env, ctx):
    return Response(await env.ROOM.getByName("a").say())
"""
pytestmark = pytest.mark.skipif(find_spec("debugpy") is None, reason="needs debugpy")


def line_of(source: str, text: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


async def asked(pilot: Served) -> str:
    return (await pilot.ask())[1]


@pytest.mark.timeout(300)
async def test_a_breakpoint_is_hit_again_after_a_save(tmp_path: Path, port: int) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path, "--debug", str(port)) as pilot:
        async with editor(port, {tmp_path / "entry.py": [line_of(ENTRY, "return")]}) as opened:
            for word in ("one", "two", "three"):
                if word != "one":
                    assert await pilot.save(ENTRY.replace("one", word), within=60)
                asking = asyncio.create_task(asked(pilot))
                session, thread, values = await opened.stopped()
                assert values["said"] == repr(word)
                await asyncio.sleep(3)  # longer than a worker may block its event loop unnoticed
                assert not asking.done()
                await session.ask("continue", threadId=thread)
                assert await asking == word
        assert await asked(pilot) == "three"  # the editor has left
    assert not [line for line in pilot.events if line["event"] == "blocked"]


@pytest.mark.timeout(300)
async def test_a_breakpoint_in_a_durable_object_and_one_while_the_worker_is_imported(tmp_path: Path, port: int) -> None:
    config = "durable_objects = {bindings = [{name = 'ROOM', class_name = 'Room'}]}\n"
    config += "migrations = [{tag = 'v1', new_sqlite_classes = ['Room']}]\n"
    write(tmp_path, OBJECT, config)
    breakpoints = {tmp_path / "entry.py": [line_of(OBJECT, "return word")]}
    async with serving(tmp_path, "--debug", str(port)) as pilot, editor(port, breakpoints) as opened:
        asking = asyncio.create_task(asked(pilot))
        session, thread, values = await opened.stopped()
        assert values["word"] == "'from the room'"
        await session.ask("continue", threadId=thread)
        assert await asking == "from the room"
        opened.breakpoints[tmp_path / "entry.py"] = [line_of(OBJECT, "class Room")]
        saving = asyncio.create_task(pilot.save(OBJECT + "# saved\n", within=90))
        for _ in ("the worker's process", "its objects'"):  # both import it
            session, thread, _ = await opened.stopped()
            assert not saving.done()
            await session.ask("continue", threadId=thread)
        assert await saving


async def test_the_editor_is_told_what_the_docs_say() -> None:
    docs = (Path(__file__).parents[2] / "docs/configuration.md").read_text("utf-8")
    shown = re.search(r"^```json\n(.*?)^```", docs[docs.index("### A debugger") :], re.MULTILINE | re.DOTALL)
    assert shown
    (configuration,) = json.loads(shown[1])["configurations"]
    assert configuration["connect"] == {"host": "127.0.0.1", "port": 5678}
    assert "pilot dev --debug 5678" in docs


async def test_only_this_machine_can_attach(tmp_path: Path, port: int) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path, "--debug", str(port), "--host", "0.0.0.0") as pilot:
        socket.create_connection(("127.0.0.1", port)).close()
        listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
        places = [line.split()[1] for line in listening.splitlines() if line.split()[3] == "0A"]
        assert [place for place in places if place.endswith(f":{port:04X}")] in ([f"0100007F:{port:04X}"], [])
        assert await pilot.says(f"127.0.0.1:{port}")
    async with asyncio.timeout(30):  # and nobody stays there
        while not is_free(port):
            await asyncio.sleep(0.1)


def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    assert "exclude each other" in typed(tmp_path, "dev", "--debug", "5678", "--inline", code=2)
    shown = typed(tmp_path, "dev", "--port", "0", "--debug", "5678", code=3, **without(tmp_path, "debugpy"))
    assert "pip install" in shown
    assert "[debug]" in shown
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = typed(tmp_path, "dev", "--port", "0", "--debug", str(taken.getsockname()[1]), code=3)
    assert "--debug" in shown
    assert "Choose another" in shown
