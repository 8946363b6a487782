"""Workers of one host call each other by name, whatever order they are deployed in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import Host, hosting, tailing
from serving import write
from wrangler_support import WRANGLERS, on_host

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
FLAGS = 'compatibility_date = "2026-11-01"\ncompatibility_flags = ["python_workers"]\n'
CALLER = """
import asyncio
from pyodide.ffi import JsException
from workers import URL, Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = URL(request.url).pathname
        try:
            if path == "/fetch":
                return await self.env.AUTH.fetch(request)
            if path == "/own":
                return Response(str(await self.ctx.exports.Own.name()))
            return Response(str(await self.env.ADMIN._call(path[1:])))
        except JsException as error:
            return Response(str(error).splitlines()[-1], status=400)

class Own(WorkerEntrypoint):
    async def name(self):
        return "own"
"""
CALLEE = """
import asyncio, os
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("from auth " + request.url)

class Admin(WorkerEntrypoint):
    async def who(self):
        print("asked who")
        return "VERSION " + str(dict(self.ctx.props))

    async def burns(self):
        while True:
            pass

    async def waits(self):
        await asyncio.sleep(3600)

    async def asks(self):
        return await self.env.AGAIN.asks()

    async def place(self):
        raise ValueError(__file__)

    async def dies(self):
        os._exit(1)
"""


def service(binding: str, service: str, more: str = "") -> str:
    return f'[[services]]\nbinding = "{binding}"\nservice = "{service}"\n{more}\n'


BINDINGS = service("AUTH", "auth") + service("ADMIN", "auth", 'entrypoint = "Admin"\nprops = {tenant = "a"}')


def named(folder: Path, name: str, entry: str, config: str = "") -> Path:
    write(folder, entry, FLAGS + config)
    file = folder / "wrangler.toml"
    file.write_text(file.read_text().replace('"test"', f'"{name}"'))
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    limits = ("--limit", "cpu_ms=300", "--limit", "wall_s=3")
    async with hosting(tmp_path_factory.mktemp("host") / "data", *limits) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The caller first: what it calls is not there yet."""
    folder = tmp_path_factory.mktemp("workers")
    await host.deploy(named(folder / "api", "api", CALLER, BINDINGS))
    missing = 'Worker "auth" not found. Make sure it is running locally.'
    assert await host.get("api", "/who") == (400, f"Error: {missing}")
    assert await host.get("api", "/fetch") == (503, missing)
    again = service("AGAIN", "auth", 'entrypoint = "Admin"')
    await host.deploy(named(folder / "auth", "auth", CALLEE.replace("VERSION", "one"), again))
    return host


async def test_a_worker_calls_what_was_deployed_after_it(both: Host) -> None:
    assert await both.get("api", "/who") == (200, "one {'tenant': 'a'}")
    status, text = await both.get("api", "/fetch")
    assert (status, text) == (200, f"from auth {both.url}/fetch")
    assert await both.get("api", "/own") == (200, "own")


async def test_limits_of_the_other_worker_end_its_call_alone(both: Host) -> None:
    status, text = await both.get("api", "/burns")
    assert status == 400
    assert "cpu_ms" in text
    status, text = await both.get("api", "/waits")
    assert status in (400, 503)
    status, text = await both.get("api", "/asks")
    assert status == 400
    assert "Subrequest depth limit exceeded." in text
    assert await both.get("api", "/who") == (200, "one {'tenant': 'a'}")


async def test_a_traceback_does_not_say_where_a_host_keeps_code(both: Host) -> None:
    status, text = await both.get("api", "/place")
    assert status == 400
    assert text.startswith("ValueError: ")


async def test_a_process_that_ends_is_followed_by_another(both: Host) -> None:
    status, text = await both.get("api", "/dies")
    assert status == 400
    assert "the worker's process ended" in text
    assert await both.get("api", "/who") == (200, "one {'tenant': 'a'}")


async def test_a_tail_of_the_other_worker_has_the_call(both: Host) -> None:
    reading = asyncio.create_task(tailed(both, "auth"))
    async with asyncio.timeout(60):
        while not reading.done():
            await both.get("api", "/who")
            await asyncio.sleep(0.1)
    event = reading.result()
    assert (event["event"], event["outcome"]) == ({"rpcMethod": "who"}, "ok")
    assert event["logs"][0]["message"] == ["asked who"]


async def tailed(host: Host, worker: str) -> dict[str, Any]:
    """The first event that its tail has."""
    async with tailing(host, worker) as told:
        event: dict[str, Any] = await told.get()
        return event


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_deploys_service_bindings(both: Host, tmp_path: Path, version: str) -> None:
    name = f"by-{version.replace('.', '-')}"
    folder = named(tmp_path / "w", name, CALLER, BINDINGS)
    await on_host(version, "deploy", url=both.url, token=both.token, folder=folder)
    assert await both.get(name, "/who") == (200, "one {'tenant': 'a'}")


async def test_a_new_version_of_the_other_worker_answers_the_next_call(both: Host, tmp_path: Path) -> None:
    again = service("AGAIN", "auth", 'entrypoint = "Admin"')
    await both.deploy(named(tmp_path / "auth", "auth", CALLEE.replace("VERSION", "two"), again))
    assert await both.get("api", "/who") == (200, "two {'tenant': 'a'}")
