"""What a worker imports: the modules workers, js, pyodide and asgi, from their own source root."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from http import HTTPMethod, HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

import runtime
from runtime import web
from runtime.values import JsException
from runtime.web.scope import current_ctx, current_env, current_root

SDK = Path(runtime.__file__).parent / "sdk"
MODULES = ("workers", "js", "pyodide", "asgi", "wsgi")


@pytest.fixture(autouse=True)
def source_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in an isolate; taken away afterwards, with everything imported from it."""
    monkeypatch.syspath_prepend(str(SDK))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in MODULES]:
        del sys.modules[name]


def use(name: str) -> Any:
    return importlib.import_module(name)


class Context:
    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def wait_until(self, work: Any) -> None:
        self.waiting.append(work)


def test_workers_has_the_web_types() -> None:
    workers = use("workers")
    for name in workers.__all__:
        assert getattr(workers, name) is getattr(web, name, getattr(workers, name))
    assert set(web.__all__) - set(workers.__all__) == {"set_transport", "to_bytes"}


@pytest.mark.parametrize("part", ["blob", "entrypoints", "fetch", "formdata", "request", "response", "rpc", "utils"])
def test_the_modules_of_the_sdks_package_are_the_package(part: str) -> None:
    workers, fetch = use("workers"), web.fetch
    assert use(f"workers.{part}").Response is workers.Response
    assert workers.fetch is fetch


def test_an_entrypoint_has_ctx_and_env() -> None:
    workers = use("workers")

    class Default(workers.WorkerEntrypoint):  # type: ignore[misc, name-defined]
        pass

    default = Default("ctx", "env")
    assert (default.ctx, default.env) == ("ctx", "env")


def test_handler_changes_nothing() -> None:
    async def on_fetch(request: Any) -> None: ...

    assert use("workers").handler(on_fetch) is on_fetch


def test_env_and_wait_until_belong_to_the_event() -> None:
    workers = use("workers")
    for early in (lambda: workers.env.AI, lambda: workers.env["AI"], lambda: workers.wait_until(None)):
        with pytest.raises(RuntimeError, match="only while an event is served"):
            early()
    assert repr(workers.env) == "<env: no event is being served>"
    context = Context()
    event = current_env.set({"AI": "the binding"}), current_ctx.set(context)
    try:
        assert workers.env["AI"] == "the binding"
        assert "AI" in workers.env
        assert list(workers.env) == ["AI"]
        assert workers.env.keys() == {"AI"}
        workers.waitUntil("work")
        assert context.waiting == ["work"]
        with workers.patch_env({"AI": "another"}, EXTRA=1):
            assert (workers.env.AI, workers.env["EXTRA"], sorted(workers.env)) == ("another", 1, ["AI", "EXTRA"])
        assert "EXTRA" not in workers.env
        assert workers.env["AI"] == "the binding"
    finally:
        current_env.reset(event[0])
        current_ctx.reset(event[1])


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="it has: URL"):
        _ = use("workers").Respons
    assert not any(hasattr(use(name), "document") for name in ("js", "workers", "pyodide.ffi"))
    with pytest.raises(AttributeError, match="there is no JavaScript"):
        _ = use("js").document


async def test_js_classes_are_made_with_new(capsys: pytest.CaptureFixture[str]) -> None:
    js, ffi = use("js"), use("pyodide.ffi")
    headers = js.Headers.new({"content-type": "text/html"}.items())
    init = ffi.to_js({"status": 201, "headers": {"a": "1"}}, dict_converter=js.Object.fromEntries)
    response = js.Response.new("hi", init)
    assert isinstance(response, web.Response)
    assert (response.status, response.headers["a"]) == (201, "1")
    assert js.Response.new("x", headers=headers).headers["content-type"] == "text/html"
    assert await js.Response.json({"a": 1}).json() == {"a": 1}
    assert js.Request.new("http://a/", method="PUT", body="x").js_object.method == "PUT"
    assert js.URL.new("/b", "http://a/").searchParams.size == 0
    assert str(js.URLSearchParams.new("a=1")) == "a=1"
    assert len(js.FormData.new()) == 0
    assert js.File.new(["x"], "x.txt", type="text/plain").name == "x.txt"
    js.AbortController.new().abort()
    js.console.log("out", 1)
    js.console.error("err", 2)
    assert capsys.readouterr() == ("out 1\n", "err 2\n")


def test_js_values() -> None:
    js = use("js")
    data = js.JSON.parse('{"a": {"b": [1, {"c": 2}]}}')
    assert data.a.b[1].c == data["a"]["b"][1]["c"] == 2
    assert type(data.to_py()["a"]) is dict
    assert js.JSON.stringify(data) == '{"a":{"b":[1,{"c":2}]}}'
    assert json.loads(js.JSON.stringify({"é": 1}, None, 2)) == {"é": 1}
    assert js.JSON.stringify({"a": 1, "b": [2]}, lambda k, v: v + 1 if k == "0" else v) == '{"a":1,"b":[3]}'
    assert js.JSON.stringify({"a": 1, "b": 2}, ["b"]) == '{"b":2}'
    thing = js.Object.new()
    thing.x = 1
    assert js.Object.keys(js.Object.assign(thing, {"y": 2})) == ["x", "y"]
    assert js.Object.entries(thing) == [["x", 1], ["y", 2]]
    assert js.Object.values(thing) == [1, 2]
    with pytest.raises(AttributeError):
        _ = thing.z
    assert js.Date.new(1_700_000_000_123).toISOString() == "2023-11-14T22:13:20.123Z"
    assert js.Date.now() <= js.Date.new().getTime()
    assert len(js.crypto.randomUUID()) == 36


def test_ffi_conversions() -> None:
    ffi = use("pyodide.ffi")
    value = {"a": [{"b": 1}], "c": b"bytes"}
    assert ffi.to_js(value) == value
    converted = ffi.to_js(value, dict_converter=use("js").Object.fromEntries)
    assert isinstance(converted, ffi.JsProxy)
    assert converted.a[0].b == 1
    assert converted.to_py() == value
    proxy = ffi.create_proxy(len)
    assert proxy("ab") == ffi.create_once_callable(len)("cd") == 2
    proxy.destroy()
    assert issubclass(ffi.JsException, Exception)


async def about(request: StarletteRequest) -> StarletteResponse:
    keys = ("method", "scheme", "path", "raw_path", "server", "client", "env")
    scope = {key: str(request.scope[key]) for key in keys}
    return JSONResponse({**scope, "query": dict(request.query_params), "state": request.state.ready})


async def upper(request: StarletteRequest) -> StarletteResponse:
    async def generate() -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            yield chunk.upper()

    return StreamingResponse(generate())


left: list[str] = []
done: list[str] = []


async def forever(request: StarletteRequest) -> StarletteResponse:
    async def generate() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0.001)
        finally:
            left.append("generator")

    return StreamingResponse(generate())


async def later(request: StarletteRequest) -> StarletteResponse:
    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("later")

    return PlainTextResponse("ok", background=BackgroundTask(work))


async def broken(request: StarletteRequest) -> StarletteResponse:
    raise ValueError("before the answer")


async def breaks(request: StarletteRequest) -> StarletteResponse:
    async def generate() -> AsyncIterator[str]:
        yield "first"
        raise ValueError("within the answer")

    return StreamingResponse(generate())


async def nothing(request: StarletteRequest) -> StarletteResponse:
    return StarletteResponse(status_code=204)


def application() -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        yield {"ready": "started"}

    handlers = (about, upper, forever, later, broken, breaks, nothing)
    routes = [Route("/" + h.__name__ + "{rest:path}", h, methods=["GET", "POST"]) for h in handlers]
    return Starlette(routes=routes, lifespan=lifespan)


async def ask(app: Any, path: str, ctx: Any = None, **options: Any) -> web.Response:
    request = web.Request("https://example.com" + path, **options)
    response = await use("asgi").fetch(app, request, "the env", ctx)
    assert isinstance(response, web.Response)
    return response


async def test_asgi_scope() -> None:
    response = await ask(application(), "/about/%C3%A9?a=1", headers={"cf-connecting-ip": "1.2.3.4"})
    assert await response.json() == {
        "method": "GET", "scheme": "https", "path": "/about/é", "raw_path": "b'/about/%C3%A9'",
        "server": "('example.com', 443)", "client": "('1.2.3.4', 0)", "env": "the env", "query": {"a": "1"},
        "state": "started",
    }  # fmt: skip


async def test_fastapi_under_a_prefix() -> None:
    """Its pages find one another."""
    app = FastAPI()

    @app.get("/items/{number}")
    def item(request: StarletteRequest, number: int) -> dict[str, str]:
        return {"self": str(request.url), "next": str(request.url_for("item", number=number + 1))}

    token = current_root.set("/_w/fast")
    try:
        assert "url: '/_w/fast/openapi.json'" in await (await ask(app, "/docs")).text()
        assert (await (await ask(app, "/openapi.json")).json())["servers"] == [{"url": "/_w/fast"}]
        items = "https://example.com/_w/fast/items/"
        assert await (await ask(app, "/items/1")).json() == {"self": items + "1", "next": items + "2"}
        slashed = await ask(app, "/items/1/")
        assert (slashed.status, slashed.headers["location"]) == (307, items + "1")
    finally:
        current_root.reset(token)


async def test_asgi_length_is_kept() -> None:
    app = application()
    status, _, headers, _ = (await ask(app, "/about")).to_parts()
    assert status == 200
    assert int(dict(headers)[b"content-length"]) > 10
    assert (await ask(app, "/nothing")).to_parts()[::3] == (204, None)
    assert (await ask(app, "/none-such")).status == 404


async def test_asgi_streams_both_ways() -> None:
    heard = asyncio.Event()

    async def talk() -> AsyncIterator[str]:
        yield "one"
        await heard.wait()
        yield "two"

    response = await ask(application(), "/upper", method="POST", body=talk())
    assert response.body is not None
    reader = response.body.get_reader()
    assert (await reader.read()).value == b"ONE"
    heard.set()
    assert [chunk async for chunk in reader] == [b"TWO"]


async def test_asgi_client_leaves() -> None:
    left.clear()
    response = await ask(application(), "/forever")
    assert response.body is not None
    reader = response.body.get_reader()
    assert (await reader.read()).value == b"tick"
    await reader.cancel()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if left:
            break
    assert left == ["generator"]


async def test_asgi_background_tasks_wait() -> None:
    done.clear()
    context = Context()
    response = await ask(application(), "/later", context)
    assert await response.text() == "ok"
    assert not done
    assert len(context.waiting) == 1
    await context.waiting[0]
    assert done == ["later"]


async def test_asgi_errors() -> None:
    app, context = application(), Context()
    response = await ask(app, "/broken", context)  # Starlette answers 500, and then raises
    assert response.status == 500
    with pytest.raises(ValueError, match="before the answer"):
        await context.waiting[0]
    response = await ask(app, "/breaks")
    with pytest.raises(ValueError, match="within the answer"):
        await response.text()


async def test_asgi_silent_and_bare_applications() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        assert await receive() == {"type": "http.request", "body": b"x", "more_body": True}
        assert (await receive())["more_body"] is False
        await send({"type": "http.response.start", "status": 200, "headers": [(b"A", b"1")]})
        await send({"type": "http.response.body", "body": b"whole"})

    with pytest.raises(RuntimeError, match="sent no whole response"):
        await ask(silent, "/")
    response = await ask(bare, "/", method="POST", body="x")
    assert (response.headers["a"], await response.text()) == ("1", "whole")


async def test_asgi_start_fails() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    with pytest.raises(ValueError, match="no database"):
        await ask(Starlette(lifespan=lifespan), "/")


async def test_asgi_compresses_once() -> None:
    app = GZipMiddleware(application(), minimum_size=1)
    _, _, headers, body = (await ask(app, "/about", headers={"accept-encoding": "gzip"})).to_parts()
    assert dict(headers)[b"content-encoding"] == b"gzip"
    assert isinstance(body, bytes)  # it came with its head
    assert json.loads(gzip.decompress(body))["method"] == "GET"


async def test_types_read_as_the_sdks() -> None:
    """Positional and keyword forms, and names, of workers-runtime-sdk 1.9.5."""
    workers = use("workers")
    request = workers.Request("http://a/b", method=HTTPMethod.POST, headers={"A": "1"}, body="[1]")
    assert (request.method, type(request.method)) == ("POST", HTTPMethod)
    assert request.headers["missing"] is None
    assert (request.mode, request.keepalive) == (None, False)
    assert await request.clone().json(parse_int=float) == [1.0]
    assert bytes(await request.clone().buffer()) == b"[1]"
    assert await request.text() == "[1]"
    for error in (OSError, TypeError):
        with pytest.raises(error, match="already"):
            await request.text()
    odd = workers.Request("http://a/", method="PURGE")
    assert (odd.method, type(odd.method)) == ("PURGE", str)

    response = workers.Response("x", HTTPStatus.CREATED, "Made", {"a": "b"})
    changed = response.replace_body("y")
    assert (changed.status, changed.status_text, changed.headers["a"]) == (201, "Made", "b")
    assert await changed.string() == "y"
    assert workers.Response.from_json({"a": 1}, 202, "ok", {"x": "y"}).headers["content-type"] == "application/json"
    assert response.js_response.headers.get("a") == "b"
    response.raise_for_status()
    with pytest.raises(OSError, match="404 Client Error: Gone for url: "):
        workers.Response("", 404, "Gone").raise_for_status()

    form = workers.FormData({"a": "1"})
    assert isinstance(form, MutableMapping)
    form["b"] = "2"
    assert (form.pop("a"), form.setdefault("c", "3"), dict(form)) == ("1", "3", {"b": "2", "c": "3"})
    del form["b"]
    with pytest.raises(TypeError, match="single item"):
        form["b"] = ["1"]

    blob = workers.Blob("a\nb", "text/plain")
    assert (blob.content_type, blob.size, workers.Blob([blob]).content_type) == ("text/plain", 3, "")
    assert workers.Blob(blob).content_type == "text/plain"
    assert workers.Blob([b"x"], {"type": "a/b"}).type == workers.Blob([b"x"], type="a/b").content_type == "a/b"
    assert await workers.Blob(["abc"]).slice(1, 2, "x/y").text() == "b"
    file = workers.File(["x"], "n.txt", "text/plain", "native", 5)
    assert (file.name, file.content_type, file.lastModified) == ("n.txt", "text/plain", 5)
    assert workers.File(file, filename="m").last_modified == 5


async def test_pyodides_other_modules() -> None:
    code, http, wrappers = use("pyodide.code"), use("pyodide.http"), use("pyodide.ffi.wrappers")
    assert code.eval_code("x = 1\nx + 1") == 2
    assert code.eval_code("1;") is None
    assert await code.eval_code_async("import asyncio\nawait asyncio.sleep(0, 5)") == 5
    assert code.find_imports("import b.c, a\nfrom d import e") == ["a", "b", "d"]
    assert (code.find_imports("import ("), code.should_quiet("1;")) == ([], True)
    with pytest.raises(JsException, match="Code generation"):
        code.run_js("1")
    assert issubclass(web.Response, http.FetchResponse)
    workers = use("workers")
    assert workers.Context.__doc__
    assert "cacheTtl" in workers.RequestInitCfProperties.__annotations__
    assert workers.python_from_rpc(workers.python_to_rpc([1])) == [1]
    with pytest.raises(TypeError, match="cannot be sent"):
        workers.python_to_rpc((1,))
    assert use("workers.asgi").fetch is use("asgi").fetch
    assert use("workers.wsgi").entrypoint is use("wsgi").entrypoint
    done = asyncio.Event()
    wrappers.set_timeout(done.set, 1)
    await asyncio.wait_for(done.wait(), 10)
    assert use("pyodide").__version__
