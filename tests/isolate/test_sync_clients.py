"""Synchronous HTTP clients in a worker, of ``pilot dev`` and on a host: in a plain ``def``, and in ``async def``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from hosting import Host, hosting, worker
from runtime.isolate import sandbox
from serving import Served, serving, write
from vendored import bring

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = """
from urllib.parse import parse_qs, urlsplit
from workers import Response, WorkerEntrypoint

def requests(url):
    import requests
    return requests.post(url + "/echo", json={"by": "requests"}, timeout=20).json()["by"]

def urllib3(url):
    import urllib3
    return urllib3.request("POST", url + "/echo", json={"by": "urllib3"}, timeout=20).json()["by"]

def httpx(url):
    import httpx
    with httpx.Client(timeout=20) as client, client.stream("POST", url + "/echo", json={"by": "httpx"}) as answer:
        return __import__("json").loads(b"".join(answer.iter_bytes()))["by"]

def urllib(url):
    from urllib.request import urlopen
    return __import__("json").load(urlopen(url + "/echo", b'{"by": "urllib"}', timeout=20))["by"]

def openai(url):
    import openai
    client = openai.OpenAI(base_url=url + "/v1", api_key="key", timeout=60)
    asked = [{"role": "user", "content": "x"}]
    return client.chat.completions.create(model="m", messages=asked).choices[0].message.content

def langchain(url):
    from langchain_openai import ChatOpenAI
    return ChatOpenAI(model="m", base_url=url + "/v1", api_key="key", timeout=60).invoke("x").content

def cloudflare(url):
    import cloudflare
    client = cloudflare.Cloudflare(api_token="t", base_url=url + "/client/v4", timeout=60)
    return client.user.tokens.verify().status

def asked(request):
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    return Response(globals()[query["by"]](query["url"]))
"""
PLAIN = "\ndef fetch(request, env, ctx):\n    return asked(request)\n"
ASYNC = "\nclass Default(WorkerEntrypoint):\n    async def fetch(self, request):\n        return asked(request)\n"
THREADS = """
import asyncio
from pyodide.ffi import run_sync
import requests as client

def plain(url):
    return run_sync(asyncio.to_thread(client.get, url + "/held", timeout=20)).text

async def fetch(request, env, ctx):
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    if query["by"] == "plain":
        return Response(plain(query["url"]))
    return Response((await asyncio.to_thread(client.get, query["url"] + "/held", timeout=20)).text)
"""
AT_ONCE = 40
SAID = {
    "requests": "requests", "urllib3": "urllib3", "httpx": "httpx", "urllib": "urllib", "openai": "hello",
    "langchain": "hello", "cloudflare": "active",
}  # fmt: skip
# On a host, which has no other packages than a worker's: worker → what it brings. An upload is bounded, and takes time.
BROUGHT = {
    "def": ("requests", "httpx"), "async": ("requests", "httpx"), "openai": ("langchain-openai", "typing_extensions"),
    "cloudflare": ("cloudflare", "typing_extensions"),
}  # fmt: skip
ON_HOST = [(name, client) for name in ("def", "async") for client in ("requests", "urllib3", "httpx", "urllib")]
ON_HOST += [("openai", "openai"), ("openai", "langchain"), ("cloudflare", "cloudflare")]


async def echo(request: web.Request) -> web.Response:
    return web.json_response(await request.json())


async def chat(request: web.Request) -> web.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
    return web.json_response({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


async def verified(request: web.Request) -> web.Response:
    return web.json_response({"success": True, "errors": [], "messages": [], "result": {"id": "1", "status": "active"}})


async def held(request: web.Request) -> web.Response:
    """Until as many are here."""
    await request.app[ALL_HERE].wait()
    return web.Response(text="all are here")


ALL_HERE = web.AppKey("ALL_HERE", asyncio.Barrier)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    app = web.Application()
    app[ALL_HERE] = asyncio.Barrier(AT_ONCE)
    routes = [web.post("/echo", echo), web.post("/v1/chat/completions", chat), web.get("/held", held)]
    app.add_routes([*routes, web.get("/client/v4/user/tokens/verify", verified)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[PLAIN, ASYNC], ids=["def", "async def"])
async def pilot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    write(folder, ENTRY + request.param)
    async with serving(folder) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("clients")
    async with hosting(folder / "data", "--allow", "127.0.0.0/8", "--isolates", "1") as running:
        for name, packages in BROUGHT.items():
            bring(folder / name, *packages)
            await running.deploy(worker(folder / name, ENTRY + (PLAIN if name == "def" else ASYNC), name=name))
        yield running


@pytest.mark.parametrize("client", SAID)
async def test_a_client_just_asks(pilot: Served, url: str, client: str) -> None:
    assert await pilot.ask(f"/?by={client}&url={url}") == (200, SAID[client])


async def test_threads_ask_at_once(tmp_path: Path, url: str) -> None:
    write(tmp_path, ENTRY + THREADS)
    async with serving(tmp_path) as pilot:
        for by in ("fetch", "plain"):
            answers = await asyncio.gather(*(pilot.ask(f"/?by={by}&url={url}") for _ in range(AT_ONCE)))
            assert answers == [(200, "all are here")] * AT_ONCE


@pytest.mark.skipif(bool(sandbox.available()), reason="; ".join(sandbox.available()))
@pytest.mark.parametrize(("name", "client"), ON_HOST)
async def test_a_client_just_asks_on_a_host(host: Host, url: str, name: str, client: str) -> None:
    assert await host.get(name, f"/?by={client}&url={url}") == (200, SAID[client])
