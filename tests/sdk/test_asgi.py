"""An ASGI application in a served worker: whatever it raises is said to be the request's, or the lifespan's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

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
TELLS = """
import asgi, json, sys
import starlette.applications
from js import URL
from urllib.parse import unquote
from workers import Response

async def app(scope, receive, send):
    assert type(scope["method"]) is str
    said = [scope["scheme"], scope["path"], scope["raw_path"].decode(), scope["query_string"].decode(), scope["server"]]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})

async def fetch(request, env, ctx):
    if request.url.endswith("/waits"):
        return Response.json(sys.modules["runtime.isolate.suspending"].is_wanted())
    url, said = URL.new(request.url), await (await asgi.fetch(app, request, env, ctx)).json()
    server = [url.hostname, int(url.port or 80)]
    return Response.json([said, [url.protocol[:-1], unquote(url.pathname), url.pathname, url.search[1:], server]])
"""
TARGETS = (
    "/", "/a/b?x=1&y=%20", "/a/../b", "/a/%2e%2E/b", "/./x/.", "/a%20b", "/a//b", "/it's?q='a'", "/x?a=b?c", "/x?",
    "/%zz", "/a.b/..c?..", "/x?y={z}|", "/a|b^", "/%C3%A9?%C3%A9",
)  # fmt: skip
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tells(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("tells")
    write(folder, TELLS)
    async with serving(folder) as served:
        yield served


@pytest.mark.parametrize("target", TARGETS)
async def test_an_application_is_told_of_the_url_that_the_request_has(tells: Served, target: str) -> None:
    port = int(tells.url.rpartition(":")[2])
    for host in (f"localhost:{port}", "LocalHost", "127.1"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 200"), head
        said, known = json.loads(body)
        assert said == known


async def test_a_framework_with_a_run_sync_of_its_own_pays_for_no_greenlets(tells: Served) -> None:
    """AnyIO has one, which Starlette and FastAPI speak of."""
    assert await tells.ask("/waits") == (200, "false")
