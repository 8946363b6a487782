"""WSGI applications in workers: one by hand under the standard's own validator, and Django."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_HAND = """
import hashlib, json, threading, time
import wsgi
from pyodide.ffi import run_sync
from wsgiref.validate import validator

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise KeyError("before it answers")
    if path == "/lazy":
        return lazy(environ, start_response)
    status = "201 Made" if path == "/made" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")])
    if path == "/digest":
        digest, size = hashlib.sha256(), 0
        while piece := environ["wsgi.input"].read(65536):
            digest.update(piece)
            size += len(piece)
        return [f"{size} {digest.hexdigest()}".encode()]
    if path == "/breaks":
        return breaks()
    if path == "/kv":
        kv = environ["workers.env"].KV
        run_sync(kv.put("a", "from wsgi"))
        return [run_sync(kv.get("a")).encode()]
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    return [json.dumps({**shown, "main": threading.current_thread() is threading.main_thread()}).encode()]

class lazy:
    def __init__(self, environ, start_response):
        self.start, self.parts = start_response, iter((b"one ", b"", b"two"))
    def __iter__(self):
        return self
    def __next__(self):
        if self.start:
            self.start("200 OK", [("Content-Type", "text/plain")])
            self.start = None
        return next(self.parts)
    def close(self):
        print("closed")

def breaks():
    yield b"half"
    raise ValueError("half-way")

checked = validator(app)

async def fetch(request, env, ctx):
    strict = not request.url.endswith(("/digest", "/raises"))
    return await wsgi.fetch(checked if strict else app, request, env, ctx)
"""
DJANGO = """
import django
import wsgi
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

def hello(request, name):
    return HttpResponse(f"{request.method} {name} {request.GET.get('q')} {request.headers['x-test']}")

def streamed(request):
    return StreamingHttpResponse(f"{n} " for n in range(3))

def form(request):
    return HttpResponse(f"{request.POST['a']} {request.FILES['f'].read().decode()}")

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", MIDDLEWARE=[], USE_TZ=True)
urlpatterns = [path("hello/<str:name>", hello), path("streamed", streamed), path("form", form)]
django.setup()
Default = wsgi.entrypoint(get_wsgi_application())
"""
KV = '[[kv_namespaces]]\nbinding = "KV"\nid = "kv"\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("wsgi")
    write(folder, BY_HAND, KV)
    async with serving(folder) as served:
        yield served


async def test_the_environ(pilot: Served) -> None:
    status, text = await pilot.ask("/a%20b/%C3%A9?x=%20y", headers={"x-thing": "1", "content-type": "a/b"})
    environ = json.loads(text)
    assert status == 200
    assert environ["PATH_INFO"] == "/a b/Ã©", "bytes as characters"
    assert (environ["QUERY_STRING"], environ["HTTP_X_THING"], environ["CONTENT_TYPE"]) == ("x=%20y", "1", "a/b")
    assert (environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["main"]) == ("GET", "", False)


async def test_status_and_headers(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/made") as answer:
        assert (answer.status, answer.headers.getall("x-a")) == (201, ["1", "2"])


async def test_an_upload_comes_as_it_is_read(pilot: Served) -> None:
    piece, count = bytes(range(256)) * 256, 400

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    async with pilot.http.post(f"{pilot.url}/digest", data=body()) as answer:
        assert await answer.text() == f"{len(piece) * count} {hashlib.sha256(piece * count).hexdigest()}"


async def test_an_answer_that_begins_late_and_its_close(pilot: Served) -> None:
    before = len(pilot.events)
    assert await pilot.ask("/lazy") == (200, "one two")
    await pilot.says("closed", since=before)


async def test_what_it_raises(pilot: Served) -> None:
    status, text = await pilot.ask("/raises")
    assert (status, "before it answers" in text) == (500, True)
    before = len(pilot.events)
    with pytest.raises(Exception, match=r"payload|closed|complete"):
        await pilot.ask("/breaks")
    await pilot.says("half-way", since=before)
    assert (await pilot.ask("/made"))[0] == 201


async def test_it_waits_for_bindings(pilot: Served) -> None:
    assert await pilot.ask("/kv") == (200, "from wsgi")


async def test_django(tmp_path: Path) -> None:
    write(tmp_path, DJANGO)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/hello/you?q=1", headers={"x-test": "y"}) == (200, "GET you 1 y")
        assert await pilot.ask("/streamed") == (200, "0 1 2 ")

        def parts() -> Iterator[bytes]:
            yield b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
            yield b'--b\r\ncontent-disposition: form-data; name="f"; filename="f"\r\n\r\nfile\r\n--b--\r\n'

        headers = {"content-type": "multipart/form-data; boundary=b"}
        assert await pilot.ask("/form", "POST", data=b"".join(parts()), headers=headers) == (200, "1 file")
