"""Frameworks as people use them, each in a worker: what every one of them must be able to do here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = '[pilot]\nbody_limit = "300MB"\n[[kv_namespaces]]\nbinding = "KV"\nid = "kv"\n'
PIECE, PIECES = b"x" * 1_000_000, 200
MOST_GROWTH = 60_000_000  # bytes of memory, while 200 MB go through

STARLETTE = """
import asgi, os
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

started = []

@asynccontextmanager
async def lifespan(app):
    started.append(os.getpid())
    yield {"since": "start"}

async def about(request):
    env = request.scope["env"]
    await env.KV.put("a", "kept")
    return JSONResponse({"kept": await env.KV.get("a"), "started": len(started), "state": request.state.since})

async def stream(request):
    async def lines():
        for number in range(3):
            yield f"{number} "
    return StreamingResponse(lines())

async def upload(request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"size": size})

async def later(request):
    env = request.scope["env"]
    return JSONResponse("answered", background=BackgroundTask(env.KV.put, "later", "done"))

async def done(request):
    return JSONResponse(await request.scope["env"].KV.get("later"))

async def pid(request):
    return JSONResponse(os.getpid())

routes = [Route(f"/{f.__name__}", f, methods=["GET", "POST"]) for f in (about, stream, upload, later, done, pid)]
Default = asgi.entrypoint(Starlette(routes=routes, lifespan=lifespan))
"""
FASTAPI = """
import os
import asgi
from contextlib import asynccontextmanager
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from workers import WorkerEntrypoint

started = []

@asynccontextmanager
async def lifespan(app):
    started.append(1)
    yield {"since": "start"}

app = FastAPI(lifespan=lifespan)

@app.get("/about")
async def about(request: Request, env=asgi.env):
    await env.KV.put("a", "kept")
    return {"kept": await env.KV.get("a"), "started": len(started), "state": request.state.since}

@app.get("/stream")
def stream():
    return StreamingResponse(f"{number} " for number in range(3))

@app.post("/upload")
async def upload(request: Request):
    return {"size": sum([len(chunk) async for chunk in request.stream()])}

@app.get("/later")
async def later(request: Request, tasks: BackgroundTasks):
    tasks.add_task(request.scope["env"].KV.put, "later", "done")
    return "answered"

@app.get("/done")
async def done(request: Request):
    return await request.scope["env"].KV.get("later")

@app.get("/pid")
def pid():
    return os.getpid()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request, self.env, self.ctx)
"""
QUART = """
import asyncio, os
import asgi
from quart import Quart, jsonify, request, websocket

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None
started = []

@app.before_serving
async def begin():
    started.append(1)
    app.since = "start"

@app.get("/about")
async def about():
    env = request.scope["env"]
    await env.KV.put("a", "kept")
    return {"kept": await env.KV.get("a"), "started": len(started), "state": app.since}

@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            yield f"{number} "
    return lines()

@app.post("/upload")
async def upload():
    size = 0
    async for chunk in request.body:
        size += len(chunk)
    return {"size": size}

@app.get("/later")
async def later():
    app.add_background_task(request.scope["env"].KV.put, "later", "done")
    return jsonify("answered")

@app.get("/done")
async def done():
    return jsonify(await request.scope["env"].KV.get("later"))

@app.get("/pid")
async def pid():
    return jsonify(os.getpid())

Default = asgi.entrypoint(app)
"""
_DJANGO = """
import asyncio, os
import django
from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from pyodide.ffi import run_sync

started = []
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[], USE_TZ=True)
django.setup()
started.append(1)

def answered(value):
    return JsonResponse(value, safe=False)

def pid(request):
    return answered(os.getpid())

def upload(request):
    size = 0
    while chunk := request.read(65536):
        size += len(chunk)
    return answered({"size": size})
"""
DJANGO_ASGI = (
    _DJANGO
    + """
import asgi
from django.core.asgi import get_asgi_application

async def about(request):
    env = request.scope["env"]
    await env.KV.put("a", "kept")
    return answered({"kept": await env.KV.get("a"), "started": len(started), "state": "start"})

async def stream(request):
    async def lines():
        for number in range(3):
            yield f"{number} "
    return StreamingHttpResponse(lines())

async def later(request):
    from workers import wait_until
    wait_until(request.scope["env"].KV.put("later", "done"))
    return answered("answered")

async def done(request):
    return answered(await request.scope["env"].KV.get("later"))

urlpatterns = [path(view.__name__, view) for view in (about, stream, upload, later, done, pid)]
Default = asgi.entrypoint(get_asgi_application())
"""
)
DJANGO_WSGI = (
    _DJANGO
    + """
import wsgi
from django.core.wsgi import get_wsgi_application

def about(request):
    env = request.environ["workers.env"]
    run_sync(env.KV.put("a", "kept"))
    return answered({"kept": run_sync(env.KV.get("a")), "started": len(started), "state": "start"})

def stream(request):
    return StreamingHttpResponse(f"{number} " for number in range(3))

def later(request):
    from workers import wait_until
    wait_until(request.environ["workers.env"].KV.put("later", "done"))
    return answered("answered")

def done(request):
    return answered(run_sync(request.environ["workers.env"].KV.get("later")))

urlpatterns = [path(view.__name__, view) for view in (about, stream, upload, later, done, pid)]
Default = wsgi.entrypoint(get_wsgi_application())
"""
)
FLASK = """
import os
from flask import Flask, jsonify, render_template_string, request, stream_with_context
from pyodide.ffi import run_sync
from workers import WorkerEntrypoint, wait_until, wsgi

app = Flask(__name__)
started = [1]

@app.get("/about")
def about():
    env = request.environ["workers.env"]
    run_sync(env.KV.put("a", "kept"))
    return {"kept": run_sync(env.KV.get("a")), "started": len(started),
            "state": render_template_string("{{ word|lower }}", word="START")}

@app.get("/stream")
def stream():
    return app.response_class(stream_with_context(f"{number} " for number in range(3)))

@app.post("/upload")
def upload():
    size = 0
    while chunk := request.stream.read(65536):
        size += len(chunk)
    return {"size": size}

@app.get("/later")
def later():
    wait_until(request.environ["workers.env"].KV.put("later", "done"))
    return jsonify("answered")

@app.get("/done")
def done():
    return jsonify(run_sync(request.environ["workers.env"].KV.get("later")))

@app.get("/pid")
def pid():
    return jsonify(os.getpid())

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await wsgi.fetch(app, request, self.env)
"""
ENTRIES = {
    "starlette": STARLETTE, "fastapi": FASTAPI, "quart": QUART, "django-asgi": DJANGO_ASGI, "django-wsgi": DJANGO_WSGI,
    "flask": FLASK,
}  # fmt: skip


@dataclass
class App:
    name: str
    pilot: Served

    async def told(self, path: str, **options: Any) -> Any:
        status, text = await self.pilot.ask(path, **options)
        assert status == 200, text
        return json.loads(text)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(ENTRIES))
async def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    write(folder, ENTRIES[request.param], CONFIG)
    async with serving(folder) as served:
        yield App(request.param, served)


async def test_it_has_the_bindings_and_starts_once(app: App) -> None:
    answers = await asyncio.gather(*(app.told("/about") for _ in range(20)))
    assert answers == [{"kept": "kept", "started": 1, "state": "start"}] * 20


async def test_it_streams(app: App) -> None:
    assert await app.pilot.ask("/stream") == (200, "0 1 2 ")


async def test_what_is_left_to_do_is_done_after_the_answer(app: App) -> None:
    assert await app.told("/later") == "answered"
    async with asyncio.timeout(10):
        while await app.told("/done") != "done":
            await asyncio.sleep(0.02)


async def test_an_upload_of_200_mb_takes_constant_memory(app: App) -> None:
    isolate = psutil.Process(await app.told("/pid"))
    supervisor = psutil.Process(app.pilot.process.pid)
    before, most = isolate.memory_info().rss, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        for number in range(PIECES):
            if number % 10 == 0:
                most = max(most, isolate.memory_info().rss - before)
            yield PIECE

    start = supervisor.memory_info().rss
    length, patience = {"content-length": str(len(PIECE) * PIECES)}, aiohttp.ClientTimeout(170)
    async with app.pilot.http.post(f"{app.pilot.url}/upload", data=body(), headers=length, timeout=patience) as answer:
        assert await answer.json(content_type=None) == {"size": len(PIECE) * PIECES}
    assert max(most, isolate.memory_info().rss - before) < MOST_GROWTH
    assert supervisor.memory_info().rss - start < MOST_GROWTH
