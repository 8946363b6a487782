"""Save, and the next request runs the new code; whatever is in flight finishes on the old."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from dev_server import Pilot, StartPilot
from families import ENGINE, running
from serving import Served, serving, write

ENTRY = """
from workers import Response

async def fetch(request, env, ctx):
    return Response("{}")
"""
SIBLING = """
from pathlib import Path
from workers import Response
import sibling, package.module

async def fetch(request, env, ctx):
    data = Path(__file__).parent / "data.txt"
    return Response(" ".join([sibling.NAME, package.module.NAME, data.read_text() if data.exists() else "-"]))
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")
TREE = {"sibling.py": 'NAME = "s1"', "package/__init__.py": "", "package/module.py": 'NAME = "p1"', "data.txt": "d1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("worker")
    write(folder, ENTRY.format("shared"))
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def pilot(shared: Served) -> Served:
    """With the worker that answers ``v0``."""
    assert await shared.save(ENTRY.format("v0"))
    shared.events.clear()
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Served]:
    """For the tests that change more than the entry."""
    write(tmp_path, ENTRY.format("v0"))
    async with serving(tmp_path) as pilot:
        yield pilot


async def becomes(pilot: Served, text: str, path: str = "/", within: float = 10.0) -> None:
    """Soon, every request is answered with ``text``."""
    answer = None
    try:
        async with asyncio.timeout(within):
            while (answer := await pilot.ask(path)) != (200, text):
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{answer}, not {text!r}:\n{pilot.log()}") from None


def children(pilot: Served) -> list[psutil.Process]:
    return psutil.Process(pilot.process.pid).children(recursive=True)


async def test_the_next_request_runs_the_new_code(pilot: Served) -> None:
    for version in range(1, 6):
        assert await pilot.save(ENTRY.format(f"v{version}")), pilot.log()[-1500:]
        assert await pilot.ask() == (200, f"v{version}")


async def test_a_file_that_is_about_to_be_written_is_no_mistake(pilot: Served) -> None:
    """Editors empty a file and then write it; a busy machine may take its time between."""
    for version in range(3):
        with (pilot.folder / "entry.py").open("w") as file:
            await asyncio.sleep(0.3)
            file.write(ENTRY.format(f"late{version}"))
        await becomes(pilot, f"late{version}")
    assert not [line for line in pilot.events if line["event"] == "script_error"], pilot.log()


async def test_an_empty_file_is_told_of(pilot: Served) -> None:
    since = len(pilot.events)
    (pilot.folder / "entry.py").write_text("")
    await pilot.event("script_error", since=since)
    assert (await pilot.ask())[0] == 200, "the old version answers"


async def test_no_request_fails_while_versions_come_and_go(pilot: Served) -> None:
    stop, failed, asked = asyncio.Event(), [], 0

    async def visit() -> None:
        nonlocal asked
        while not stop.is_set():
            status, text = await pilot.ask()
            asked += 1
            if status != 200 or not text.startswith("v"):
                failed.append((status, text))

    visitors = [asyncio.create_task(visit()) for _ in range(8)]
    for version in range(1, 61):
        (pilot.folder / "entry.py").write_text(ENTRY.format(f"v{version}"))
        await asyncio.sleep(0.04)
    await becomes(pilot, "v60")
    stop.set()
    await asyncio.gather(*visitors)
    assert failed == []
    assert asked > 100


async def test_reloads_leave_nothing_behind(pilot: Served) -> None:
    async def held() -> tuple[int, int]:
        """(descriptors, processes) of the whole tree, once old versions are gone."""
        await only_one_isolate(pilot)
        processes = [psutil.Process(pilot.process.pid), *children(pilot)]
        return sum(process.num_fds() for process in processes), len(processes)

    async def save(times: range) -> None:
        for version in times:
            assert await pilot.save(ENTRY.format(f"v{version}")), pilot.log()[-1500:]

    await save(range(1, 6))
    before, memory = await held(), psutil.Process(pilot.process.pid).memory_info().rss
    await save(range(6, 56))
    async with asyncio.timeout(30):
        while await held() > before:  # a version's ends are closed a moment after its process is gone, also in `before`
            await asyncio.sleep(0.05)
    assert psutil.Process(pilot.process.pid).memory_info().rss < memory + 4 * 1024 * 1024


async def test_two_saves_of_one_size_in_one_second(tmp_path: Path) -> None:
    part = tmp_path / "part.py"
    entry = ENTRY.replace('"{}"', "part.TEXT").replace("from w", "import part\nfrom w")
    write(tmp_path, entry, files={"part.py": 'TEXT = "a0"'})
    async with serving(tmp_path, env={"PYTHONDONTWRITEBYTECODE": ""}) as pilot:  # it may write bytecode
        for number in range(5):
            moment = time.time_ns() // 10**9 * 10**9
            part.write_text(f'TEXT = "a{number}"')
            os.utime(part, ns=(moment, moment))
            await becomes(pilot, f"a{number}")
    assert not (tmp_path / "__pycache__").exists()


async def test_streams_and_tasks_in_flight_finish_on_the_old_code(pilot: Served) -> None:
    entry = """
import asyncio
from pathlib import Path
from workers import Response

async def fetch(request, env, ctx):
    async def count():
        for number in range(8):
            yield f"VERSION {number}\\n"
            await asyncio.sleep(0.1)

    async def later():
        await asyncio.sleep(1)
        print("VERSION finished its task")

    if "stream" in request.url:
        return Response(count())
    ctx.waitUntil(later())
    return Response("VERSION")
"""
    assert await pilot.save(entry.replace("VERSION", "old"))
    async with pilot.http.get(pilot.url + "/stream") as response:
        assert await response.content.readline() == b"old 0\n"
        assert await pilot.ask() == (200, "old")
        assert await pilot.save(entry.replace("VERSION", "new"))
        assert await pilot.ask() == (200, "new")
        assert [line async for line in response.content] == [b"old %d\n" % number for number in range(1, 8)]
    await pilot.event("output", text="old finished its task")
    await pilot.event("output", text="new finished its task")


@pytest.mark.parametrize(("broken", "place", "words"), [
    ("def fetch(:\n", "entry.py, line 1", "invalid syntax"),
    ("\nimport nowhere_to_be_found\n", "entry.py, line 2", "nowhere_to"),
    ("x = 1\n", "entry.py", "no entry"), ("import os\nos._exit(3)\n", "entry.py", "exit code 3"),
])  # fmt: skip
async def test_broken_code_keeps_the_old_serving(pilot: Served, broken: str, place: str, words: str) -> None:
    assert not await pilot.save(broken)
    line = await pilot.event("script_error")
    assert place in line["where"]
    assert words in line["what"]
    assert await pilot.ask() == (200, "v0")
    status, page = await pilot.ask(headers={"accept": "text/html"})
    assert status == 500
    assert "<html" in page
    assert words in page
    assert await pilot.save(ENTRY.format("healed"))
    assert await pilot.ask(headers={"accept": "text/html"}) == (200, "healed")


async def test_a_worker_that_was_broken_from_the_start_heals(tmp_path: Path) -> None:
    write(tmp_path, "import nowhere")
    async with serving(tmp_path) as pilot:
        status, text = await pilot.ask()
        assert status == 500
        assert "nowhere" in text
        (tmp_path / "entry.py").write_text(ENTRY.format("healed"))
        await becomes(pilot, "healed")


ENDLESS = "while True:\n    pass\n"


async def test_code_that_imports_for_ever_gives_way_to_the_next_save(pilot: Served) -> None:
    for number in range(1, 3):
        (pilot.folder / "entry.py").write_text(ENDLESS)
        await asyncio.sleep(0.3)
        assert await pilot.ask() == (200, f"v{number - 1}")
        (pilot.folder / "entry.py").write_text(ENTRY.format(f"v{number}"))
        await becomes(pilot, f"v{number}", within=20)
    await only_one_isolate(pilot)


async def test_a_first_version_that_imports_for_ever_gives_way_too(tmp_path: Path) -> None:
    write(tmp_path, ENDLESS)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "dev", "--port", "0", "--log-format", "json",
        cwd=tmp_path, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    pilot = Pilot(process)
    try:
        await asyncio.sleep(1.5)
        (tmp_path / "entry.py").write_text(ENTRY.format("v1"))
        await pilot.event("ready", within=20)
    finally:
        await pilot.stop()


async def only_one_isolate(pilot: Served) -> None:
    async with asyncio.timeout(30):
        while len(children(pilot)) > 2:  # and the zygote
            await asyncio.sleep(0.05)


async def test_every_kind_of_change_is_seen(tmp_path: Path) -> None:
    write(tmp_path, SIBLING, files=TREE)
    async with serving(tmp_path) as pilot:
        await becomes(pilot, "s1 p1 d1")
        (tmp_path / "sibling.py").write_text('NAME = "s2"')
        await becomes(pilot, "s2 p1 d1")
        (tmp_path / "package/module.py").write_text('NAME = "p2"')
        await becomes(pilot, "s2 p2 d1")
        replace(tmp_path / "sibling.py", 'NAME = "s3"')
        await becomes(pilot, "s3 p2 d1")
        seen = len(pilot.events)
        (tmp_path / "data.txt").write_text("d2")
        assert (await pilot.event("reloaded", since=seen))["files"] == ["data.txt"]
        seen = len(pilot.events)
        (tmp_path / "data.txt").unlink()
        assert (await pilot.event("reloaded", since=seen))["files"] == ["data.txt"]
        (tmp_path / "sibling.py").unlink()
        assert "sibling" in (await pilot.event("script_error"))["what"]
        (tmp_path / "sibling.py").write_text('NAME = "s4"')
        await becomes(pilot, "s4 p2 -")


def replace(path: Path, text: str) -> None:
    """As editors save: a new file takes the old one's place."""
    new = path.with_name("." + path.name + ".new")
    new.write_text(text)
    new.replace(path)


async def test_a_folder_made_later_is_watched(own: Served) -> None:
    entry = ENTRY.replace('"{}"', "later.deep.NAME").replace("from w", "import later.deep\nfrom w")
    (own.folder / "later").mkdir()
    (own.folder / "later/deep.py").write_text('NAME = "one"')
    (own.folder / "entry.py").write_text(entry)
    await becomes(own, "one")
    (own.folder / "later/deep.py").write_text('NAME = "two"')
    await becomes(own, "two")
    (own.folder / "moved").mkdir()
    (own.folder / "moved/deep.py").write_text('NAME = "three"')
    (own.folder / "later").rename(own.folder / "gone")
    (own.folder / "moved").rename(own.folder / "later")
    await becomes(own, "three")


async def test_a_worker_that_writes_logs_and_databases_does_not_reload_itself(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
import sqlite3
from pathlib import Path
from workers import Response

HERE = Path(__file__).parent

async def fetch(request, env, ctx):
    with open(HERE / "my.log", "a") as log:
        log.write("asked\\n")
    database = sqlite3.connect(HERE / "my.db")
    database.execute("create table if not exists visits (at)")
    database.execute("insert into visits values (1)")
    database.commit()
    database.close()
    return Response("written")
""",
    )
    async with serving(tmp_path) as pilot:
        for _ in range(5):
            assert await pilot.ask() == (200, "written")
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert [line for line in pilot.events if line["event"] == "reloaded"] == []


VARIABLE = """
from workers import Response

async def fetch(request, env, ctx):
    return Response(f"{env.COLOUR} {env['SECRET'] if 'SECRET' in env else '-'}")
"""


async def test_configuration_and_secrets_reopen_the_worker(tmp_path: Path) -> None:
    config = '[vars]\nCOLOUR = "{}"\n[env.blue.vars]\nCOLOUR = "blue"\n'
    write(tmp_path, VARIABLE, config.format("red"))
    async with serving(tmp_path) as pilot:
        await becomes(pilot, "red -")
        write(tmp_path, VARIABLE, config.format("green"))
        await becomes(pilot, "green -")
        (tmp_path / ".dev.vars").write_text("SECRET=hush")
        await becomes(pilot, "green hush")
        (tmp_path / "wrangler.toml").write_text("name = [")
        assert "wrangler.toml" in (await pilot.event("error"))["text"]
        assert await pilot.ask() == (200, "green hush")
        # Until it is mended no newer version can be opened: its code may count on it.
        seen = len(pilot.events)
        (tmp_path / "entry.py").write_text(VARIABLE)
        assert "wrangler.toml" in (await pilot.event("error", since=seen))["text"]
        write(tmp_path, VARIABLE, config.format("yellow"))
        await becomes(pilot, "yellow hush")
        (tmp_path / ".dev.vars").unlink()
        await becomes(pilot, "yellow -")
    async with serving(tmp_path, "--env", "blue") as pilot:
        await becomes(pilot, "blue -")


async def test_an_entry_that_moves_to_another_folder_is_followed(own: Served) -> None:
    (own.folder / "src").mkdir()
    (own.folder / "src/other.py").write_text(ENTRY.format("moved"))
    (own.folder / "wrangler.toml").write_text('name = "test"\nmain = "src/other.py"\n')
    await becomes(own, "moved")
    await asyncio.sleep(1.2)
    (own.folder / "src/other.py").write_text(ENTRY.format("followed"))
    await becomes(own, "followed")


async def test_engines_live_on_when_a_change_is_not_about_them(tmp_path: Path) -> None:
    entry = """
async def fetch(request, env, ctx):
    return await env.AI.run("mine", {"prompt": "one two", "stream": True})
"""
    models = "mine: {engine: echo, options: {rate: RATE}}\n"
    config = '[ai]\nbinding = "AI"\n[vars]\nCOLOUR = "{}"\n'
    write(tmp_path, entry, config.format("red"), {"models.yaml": models.replace("RATE", "0")})

    async def engine(pilot: Served) -> int:
        assert (await pilot.ask())[0] == 200
        found = [process.pid for process in running(pilot.process.pid, ENGINE)]
        assert len(found) == 1
        return found[0]

    async with serving(tmp_path) as pilot:
        first = await engine(pilot)
        assert await pilot.save(entry + "\n")
        seen = len(pilot.events)
        write(tmp_path, entry, config.format("green"))
        await pilot.event("reloaded", since=seen)
        assert await engine(pilot) == first
        seen = len(pilot.events)
        (tmp_path / "models.yaml").write_text(models.replace("RATE", "1000"))
        await pilot.event("reloaded", since=seen)
        async with asyncio.timeout(30):
            while first in [process.pid for process in children(pilot)]:
                await asyncio.sleep(0.05)
        assert await engine(pilot) != first


@pytest.mark.asyncio(loop_scope="function")
async def test_a_warning_comes_with_the_save_that_brings_it(
    start_pilot: StartPilot, project: Callable[..., Path]
) -> None:
    folder = project(ENTRY.format("v1"))
    pilot = await start_pilot(folder)
    (folder / "wrangler.toml").write_text('name = "test"\nmain = "entry.py"\n[var]\nA = "b"\n')
    warning = await pilot.event("warning", within=20)
    assert "unknown key" in warning["text"]
    assert "vars" in warning["text"]


@pytest.mark.asyncio(loop_scope="function")
async def test_ready_and_broken_says_so(start_pilot: StartPilot, project: Callable[..., Path]) -> None:
    pilot = await start_pilot(project("def fetch(:\n"))
    assert "500" in (await pilot.event("warning", within=20))["text"]
