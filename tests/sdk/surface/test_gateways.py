"""The steps of ``asgi.fetch`` and ``wsgi.fetch`` taken alone, and what an object's ``abort`` raises."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from serving import ROUTER, serving, write

ENTRY = (
    """
import asyncio, io
import asgi, wsgi
from workers import DurableObject, Request, Response, asgi as known
from workers.entrypoints import DurableObjectAbort
from workers.gateway import BaseOptions

seen = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        scope["state"]["begun"] = 1
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return seen.append("closed")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return await send({"type": "websocket.send", "text": scope["path"]})
    message = await receive()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": message["body"] + scope["query_string"]})
    seen.append(scope["state"])

def plain(environ, start_response):
    start_response("202 Yes", [("x-a", environ["REQUEST_METHOD"] + environ["CONTENT_LENGTH"])])
    return [environ["wsgi.input"].read(), environ["PATH_INFO"].encode()]

async def failing():
    raise ValueError("in the background")

async def asgis(env):
    asked = Request("http://a.b/p%20q?c=d", method="POST", body="up", headers={"X-B": "2"})
    scope = asgi.request_to_scope(asked, {"e": 1})
    told = [scope[name] for name in ("type", "path", "method", "scheme", "env")]
    raw = [scope[name].decode() for name in ("raw_path", "query_string")]
    socket = asgi.request_to_scope(asked, env, ws=True)["type"]
    shutdown, state = await asgi.start_application(app)
    answer, task = await asgi.process_request(app, asked, env, None, state=state, options=asgi.Options())
    await task
    await shutdown()
    failed = asgi.run_in_background(failing())
    await asyncio.wait([failed])
    with asgi.acquire_js_buffer(b"abc") as buffer:
        size = buffer.byteLength
    return Response.json([
        told, raw, scope["headers"][0][0].decode(), socket, state,
        answer.status, answer.headers["x-a"], await answer.text(), seen, size, len(asgi.background_tasks),
        known is asgi, BaseOptions(encode_body="manual").response_init(), BaseOptions().response_init(),
        type(asgi.DEFAULT_OPTIONS).__name__, 304 in asgi.NULL_BODY_STATUSES,
    ])

async def socket(request, env):
    return await asgi.process_websocket(app, request, env)

async def wsgis(env):
    asked = Request("http://a.b/p%20q", method="POST", body="gone")
    environ = wsgi.build_environ(asked, {"e": 1}, b"body")
    answer = wsgi.process_request(plain, asked, env, b"body")
    streamed = wsgi.build_environ(asked, env, io.BytesIO(b"file"))
    return Response.json([
        environ["PATH_INFO"], environ["CONTENT_LENGTH"], environ["workers.env"], environ["wsgi.input"].read().decode(),
        answer.status, answer.status_text, answer.headers["x-a"], await answer.text(),
        streamed["wsgi.input"].read().decode(),
    ])

class Thing(DurableObject):
    async def stop(self):
        try:
            self.ctx.abort("enough")
        except DurableObjectAbort as error:
            return [str(error), isinstance(error, Exception)]

async def aborts(env):
    try:
        return Response.json(await env.THING.getByName("a").stop())
    except Exception as error:
        return Response.json(str(error).splitlines()[-1])
"""
    + ROUTER
)
CONFIG = """
durable_objects = { bindings = [{ name = "THING", class_name = "Thing" }] }
migrations = [{ tag = "v1", new_sqlite_classes = ["Thing"] }]
"""


@pytest.mark.asyncio
async def test_the_steps(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        assert await pilot.told("/asgis") == [
            ["http", "/p q", "POST", "http", {"e": 1}], ["/p%20q", "c=d"], "x-b", "websocket", {"begun": 1},
            201, "1", "upc=d", [{"begun": 1}, "closed"], 3, 0,
            True, {"encodeBody": "manual"}, {},
            "Options", True,
        ]  # fmt: skip
        async with pilot.http.ws_connect(pilot.url + "/socket") as socket:
            assert (await socket.receive()).data == "/socket"
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert await pilot.told("/wsgis") == ["/p q", "4", {"e": 1}, "body", 202, "Yes", "POST4", "body/p q", "file"]
        assert "enough" in str(await pilot.told("/aborts"))
