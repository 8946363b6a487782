"""An ASGI application in a served worker: whatever it raises is said to be the request's, or the lifespan's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served, serving, write

ENTRY = """
from contextlib import asynccontextmanager
import asyncio, asgi
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

async def fine(request):
    return PlainTextResponse("fine")

async def boom(request):
    raise ValueError("no answer")

async def background(request):
    return PlainTextResponse("fine", background=BackgroundTask(fails))

def fails():
    raise ValueError("too late")

async def breaks(request):
    async def body():
        yield "half"
        raise ValueError("in the body")
    return StreamingResponse(body())

@asynccontextmanager
async def lifespan(app):
    print("opened")
    BEGIN
    yield
    print("closed")
    END

routes = [Route("/" + handler.__name__, handler) for handler in (fine, boom, background, breaks)]
app = Starlette(routes=routes, lifespan=lifespan)

async def fetch(request, env, ctx):
    return await asgi.fetch(app, request, env, ctx)
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


def entry(begin: str = "", end: str = "") -> str:
    return ENTRY.replace("BEGIN", begin or "pass").replace("END", end or "pass")


def line(text: str, of: str = ENTRY) -> str:
    """Where the entry says that."""
    return f"entry.py, line {[text in line for line in of.splitlines()].index(True) + 1}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("worker")
    write(folder, entry())
    async with serving(folder) as pilot:
        yield pilot


@pytest.mark.parametrize(
    ("path", "status", "head"),
    [
        ("/boom", 500, f"✘ GET /boom: {line('no answer')}: ValueError: no answer"),
        ("/background", 200, f"✘ GET /background, after its answer: {line('too late')}: ValueError: too late"),
    ],
)
async def test_an_exception_is_headed_as_its_requests(pilot: Served, path: str, status: int, head: str) -> None:
    assert (await pilot.ask(path))[0] == status
    await pilot.event("output", text=head)
    assert "waitUntil" not in pilot.log()


async def test_one_in_a_streamed_body_is_the_scripts(pilot: Served) -> None:
    with pytest.raises(Exception, match=r"not enough data|payload"):
        await pilot.ask("/breaks")
    said = await pilot.event("script_error", what="ValueError: in the body")
    assert said["where"] == line("in the body")
    assert (await pilot.event("request", path="/breaks"))["note"] == "broke off"


async def test_the_lifespan_ends_with_its_version(pilot: Served) -> None:
    assert (await pilot.ask("/fine"))[0] == 200
    await pilot.event("output", text="opened")
    assert await pilot.save(entry(end="raise ValueError('at the end')"))
    await pilot.event("output", text="closed")
    since = len(pilot.events)
    assert (await pilot.ask("/fine"))[0] == 200
    assert await pilot.save(entry())
    text = f"✘ the application's lifespan: {line('END')}: ValueError: at the end"
    await pilot.event("output", since=since, text=text)


async def test_a_lifespan_that_does_not_start_says_why(pilot: Served) -> None:
    assert await pilot.save(entry(begin="raise ValueError('no database')"))
    status, text = await pilot.ask("/fine")
    assert status == 500
    assert f"{line('BEGIN')}: ValueError: no database" in text
    assert text.count("Traceback") == 1
