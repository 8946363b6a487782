"""Several workers in one ``pilot dev``: each reloads by itself, and what is broken breaks itself alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
API = """
import asyncio, time
from pyodide.ffi import JsException
from workers import URL, Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = URL(request.url).pathname
        if path == "/slow":
            response = await self.env.AUTH.fetch(request)
            asyncio.get_running_loop().call_later(0.2, time.sleep, 2)  # nothing comes through this process meanwhile
            return response
        try:
            return Response("api 1 " + await self.env.AUTH.name())
        except JsException as error:
            return Response(str(error).splitlines()[-1], status=400)
"""
AUTH = """
import asyncio
from workers import URL, Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if URL(request.url).pathname != "/slow":
            return Response("auth at " + URL(request.url).pathname)
        async def ticks():
            for number in range(8):
                yield f"{number}\\n"
                await asyncio.sleep(0.1)
        return Response(ticks())

    async def name(self):
        return "auth 1"

    async def waits(self):
        await asyncio.sleep(1)
        return "waited 1"
"""
SERVICE = '[[services]]\nbinding = "AUTH"\nservice = "auth"\n'


def project(folder: Path) -> None:
    for name, entry, config in (("api", API, SERVICE), ("auth", AUTH, "")):
        write(folder / name, entry, config)
        file = folder / name / "wrangler.toml"
        file.write_text(file.read_text().replace('"test"', f'"{name}"'))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("several")
    project(folder)
    async with serving(folder, "-c", "api/wrangler.toml", "-c", "auth/wrangler.toml") as running:
        yield running


async def saved(pilot: Served, name: str, entry: str) -> dict[str, object]:
    """What is said of a save."""
    since = len(pilot.events)
    (pilot.folder / name / "entry.py").write_text(entry)
    async with asyncio.timeout(30):
        while True:
            for line in pilot.events[since:]:
                if line["event"] in ("reloaded", "script_error"):
                    return line
            await asyncio.sleep(0.01)


async def test_the_first_is_on_the_address_and_each_below_its_name(pilot: Served) -> None:
    assert await pilot.ask("/") == (200, "api 1 auth 1")
    assert await pilot.ask("/_w/api/") == (200, "api 1 auth 1")
    assert await pilot.ask("/_w/auth/there") == (200, "auth at /there")
    assert (await pilot.ask("/_w/auth"))[0] == 308
    assert await pilot.ask("/_w/nobody/") == (200, "api 1 auth 1")  # a path of the first one's like any other


async def test_the_banner_and_the_explorer_have_all(pilot: Served) -> None:
    banner = await pilot.event("banner")
    assert (banner["name"], banner["bindings"][0]["where"]) == ("api", "auth")
    assert [(one["name"], one["url"]) for one in banner["others"]] == [("auth", f"{pilot.url}/_w/auth/")]
    async with pilot.http.get(pilot.url + "/__pilot/state", headers={"authorization": "Bearer any"}) as response:
        assert [one["name"] for one in (await response.json())["workers"]] == ["api", "auth"]


async def test_each_reloads_by_itself(pilot: Served) -> None:
    line = await saved(pilot, "auth", AUTH.replace("auth 1", "auth 2"))
    assert line["files"] == ["auth/entry.py"]
    assert await pilot.ask("/") == (200, "api 1 auth 2")
    await saved(pilot, "api", API.replace("api 1", "api 2"))
    assert await pilot.ask("/") == (200, "api 2 auth 2")
    await saved(pilot, "api", API)


async def test_one_that_is_broken_breaks_nobody_else(pilot: Served) -> None:
    line = await saved(pilot, "auth", "this is no Python")
    assert (line["event"], line["worker"]) == ("script_error", "auth")
    status, text = await pilot.ask("/")
    assert (status, text.startswith("api 1 auth")) == (200, True)  # the version before answers
    await saved(pilot, "auth", AUTH)
    assert await pilot.ask("/") == (200, "api 1 auth 1")


async def test_a_body_that_nobody_reads_enters_no_process_between(pilot: Served) -> None:
    """The worker in the middle is blocked for longer than the other one takes."""
    began = asyncio.get_running_loop().time()
    async with pilot.http.get(pilot.url + "/slow") as response:
        assert [line async for line in response.content] == [b"%d\n" % number for number in range(8)]
    assert asyncio.get_running_loop().time() - began < 1.9


async def test_one_that_never_worked_is_an_error_of_its_callers(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "auth" / "entry.py").write_text("1 / 0")
    async with serving(tmp_path, "-c", "api/wrangler.toml", "-c", "auth/wrangler.toml") as pilot:
        status, text = await pilot.ask("/")
        assert status == 400
        assert "ZeroDivisionError" in text
        assert (await pilot.ask("/_w/auth/"))[0] == 500


async def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    project(tmp_path)
    config = tmp_path / "auth" / "wrangler.toml"
    config.write_text(config.read_text().replace('"auth"', '"api"'))
    with pytest.raises(AssertionError) as refused:
        async with serving(tmp_path, "-c", "api/wrangler.toml", "-c", "auth/wrangler.toml"):
            pass
    assert "is called 'api', as is the worker of api/wrangler.toml" in str(refused.value)
