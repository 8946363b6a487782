"""The globals of ``js`` and the conversions of ``pyodide.ffi``, in a worker, as Python Workers write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = (
    """
import asyncio
import js
from js import Array, Date, JSON, Object, Uint8Array, crypto
from pyodide.ffi import (
    ConversionError, JsArray, JsException, JsMap, JsProxy, create_once_callable, create_proxy, jsnull, run_sync, to_js,
)
from workers import Response, import_from_javascript


def proxies():
    data = JSON.parse('{"a": null, "b": [1, {"c": 2}], "keys": 3}')
    deep = data.to_py(depth=1)
    return Response.json([
        data.a is jsnull, bool(jsnull), repr(jsnull), data.a is None, isinstance(data, JsProxy),
        isinstance(data.b, JsProxy), isinstance("text", JsProxy), isinstance(jsnull, JsProxy),
        data.object_keys(), data.b.object_entries()[0], len(data.object_values()), data["keys"],
        type(deep).__name__, type(deep["b"]) is JsArray, type(data.to_py()["b"][1]) is dict,
        data.constructor.name, data.b.constructor.name, data.typeof, hasattr(data, "nothing"),
        data.b.map(lambda item, *_: 1).to_py(), data.b.length, data.b.includes(1), data.as_object_map() == data,
    ])

def conversions():
    made = to_js({"a": (1, {2, 2}), "b": b"x"})
    same = to_js([1], depth=1)
    loop = [1]
    loop.append(loop)
    class Thing: pass
    refused = 0
    try:
        to_js(Thing(), create_pyproxies=False)
    except ConversionError:
        refused = 1
    converted = to_js([Thing()], default_converter=lambda value, convert, cache: convert({"thing": 1}),
                      dict_converter=Object.fromEntries)
    return Response.json([
        isinstance(made, JsMap), made.get("a")[1].size, made.get("b").to_bytes() == b"x", isinstance(same, JsArray),
        to_js(loop)[1][1][0], refused, converted[0].thing, to_js(None) is None, to_js(jsnull) is jsnull,
        type(to_js(2 ** 60)).__name__, [to_js("s"), to_js(1.5), to_js(True)],
        to_js({"a": {"b": 1}}, dict_converter=Object.fromEntries).a.b,
    ])

def callables():
    once, twice = create_once_callable(lambda: 1), ""
    once()
    try:
        once()
    except JsException as error:
        twice = "only be called once" in str(error)
    proxy = create_proxy({"a": 1})
    inside = proxy.unwrap()["a"]
    proxy.destroy()
    return Response.json([twice, inside])

async def streams():
    async def chunks():
        yield "one "
        yield b"two"
    one, two = Response(chunks()).body.tee()
    reader = one.getReader()
    first = await reader.read()
    packed = two.pipeThrough(js.CompressionStream.new("gzip"))
    plain = packed.pipeThrough(js.DecompressionStream.new("gzip"))
    into = js.TransformStream.new()
    task = asyncio.ensure_future(plain.pipeTo(into.writable))
    text = await Response(into.readable).text()
    await task
    whole = [chunk.to_bytes().decode() async for chunk in Response("ab").body]
    buffer = await Response("xyz").arrayBuffer()
    return Response.json([first.value.to_bytes().decode(), first.done, text, whole, buffer.to_bytes().decode(),
                          buffer.byteLength, bytes(buffer.to_py()[:1]).decode()])

async def events():
    seen = []
    target = js.EventTarget.new()
    target.addEventListener("ping", lambda event: seen.append(event.detail), to_js({"once": True}))
    sent = js.CustomEvent.new("ping", to_js({"detail": 5, "cancelable": True}, dict_converter=Object.fromEntries))
    first = target.dispatchEvent(sent)
    target.addEventListener("stop", lambda event: event.preventDefault())
    stopped = target.dispatchEvent(js.Event.new("stop", cancelable=True))
    target.dispatchEvent(sent)
    over = js.CloseEvent.new("close", to_js({"code": 1000, "wasClean": True}, dict_converter=Object.fromEntries))
    seen += [over.code, over.reason, over.wasClean, over.bubbles, over.timeStamp > 0, isinstance(over, js.Event)]
    channel, got = js.MessageChannel.new(), asyncio.get_running_loop().create_future()
    channel.port1.postMessage(to_js({"a": [1]}, dict_converter=Object.fromEntries))
    channel.port2.onmessage = lambda event: got.set_result(event.data.a[0])
    done = asyncio.Event()
    js.queueMicrotask(done.set)
    await done.wait()
    await js.scheduler.wait(1)
    js.reportError(ValueError("told of"))
    try:
        js.eval("1 + 1")
    except JsException as error:
        refused = str(error)
    return Response.json([seen, first, stopped, await got, refused])

async def signals():
    joined = js.AbortSignal.any([js.AbortSignal.timeout(5), js.AbortController.new().signal])
    try:
        await joined.race(asyncio.sleep(60))
    except TimeoutError as error:
        return Response.json([joined.aborted, js.AbortSignal.abort().aborted])

async def digests(request):
    stream = crypto.DigestStream.new("SHA-256")
    await request.body.pipeTo(stream)
    digest = await stream.digest
    same = crypto.subtle.timingSafeEqual(digest, digest)
    uuid = crypto.randomUUID()
    return Response.json([digest.to_bytes().hex(), same, len(uuid), any(crypto.getRandomValues(Uint8Array.new(16)))])

def language():
    view = js.DataView.new(js.ArrayBuffer.new(4))
    view.setUint16(0, 258)
    floats = js.Float32Array.new([1.5, 2])
    moment = Date.new("2024-02-29T12:30:00.250Z")
    return Response.json([
        js.encodeURIComponent("a b&c/é"), js.decodeURIComponent("a%20b"), js.encodeURI("http://x/a b?c=d&e"),
        js.decodeURI("%26a%20b"), js.parseInt("12px"), js.parseInt("ff", 16), js.parseInt("0x1F"),
        js.parseFloat("1.5e2z"),
        js.isNaN("x"), js.Number("42"), js.String(None), js.Boolean(0), view.getUint8(1), view.getUint16(0, True),
        floats.byteLength, floats.to_py()[0], js.Int16Array.new(2).length,
        moment.toISOString(), moment.getTime(), moment.getMonth(), moment.getDay(), Date.new(2024, 12, 1).toISOString(),
        JSON.stringify({"at": moment}), js.Reflect.ownKeys({"a": 1}), Object.entries(["x"]),
        js.Array.from_("ab").join("-"),
        getattr(js.Array, "from")("ab").join("-") + str(getattr(js.Uint8Array, "from")([1])[0]),
        js.DOMException.new("no", "AbortError").name, js.navigator.userAgent, js.globalThis.JSON is JSON,
        js.Map.new([["k", 1]]).get("k"), Array.isArray(to_js([])), js.BigInt(5) + 1,
        js.performance.now() > 0, js.performance.timeOrigin > 0,
    ])

def refusals():
    told = []
    for call in (
        lambda: js.atob("a"), lambda: js.btoa("€"), lambda: js.TextDecoder.new("nope"),
        lambda: js.decodeURIComponent("%zz"),
    ):
        try:
            call()
        except JsException as error:
            told.append(error.name)
    bytes_ = js.TextEncoder.new().encode("\ufeffé")
    return Response.json([*told, len(js.TextDecoder.new("utf-8", {"ignoreBOM": True}).decode(bytes_))])

async def promises():
    made = js.Promise.withResolvers()
    js.setTimeout(create_once_callable(lambda: made.resolve(3)), 1)
    async def fails():
        raise ValueError("no")
    return Response.json([await made.promise, await js.Promise.any([fails(), js.Promise.resolve(1)])])

async def asked(request):
    answer = await js.fetch(request.url.replace("/asked", "/json"))
    data = await answer.json()
    return Response.json([data.a.b[0], data.to_py()["a"] == {"b": [1]}, isinstance(answer, js.Response)])

def json():
    return Response.json({"a": {"b": [1]}})

async def sourced(request):
    source, seen, ended = js.EventSource.new(request.url.replace("/sourced", "/feed")), [], asyncio.Event()
    source.onmessage = lambda event: seen.append(event.data)
    def late(event):
        seen.append([event.data, event.lastEventId])
        source.close()
        ended.set()
    source.addEventListener("late", create_proxy(late))
    await asyncio.wait_for(ended.wait(), 10)
    return Response.json([seen, source.readyState])

async def feed():
    async def lines():
        yield "data: one\\ndata: more\\n\\n: no"
        yield "thing\\nid: 7\\nevent: late\\ndata: two\\r"
        yield "\\n\\r\\n"
    return Response(lines(), headers={"content-type": "text/event-stream"})

async def raw(env):
    raw = import_from_javascript("cloudflare:workers").env
    await env.KV.put("a", '{"x": [1, null]}')
    rows = await raw.DB.prepare("SELECT 1 AS one, 'x' AS two").raw()
    all = await raw.DB.prepare("SELECT 1 AS one").all()
    value = await raw.KV.get("a", "json")
    return Response.json([rows.to_py(), all.results.to_py(), value.x.to_py(), run_sync(raw.KV.get("a"))])
"""
    + ROUTER
)
CONFIG = """
[[kv_namespaces]]
binding = "KV"
id = "kv"
[[d1_databases]]
binding = "DB"
database_id = "db"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("js")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as served:
        yield served


async def told(pilot: Served, path: str, **options: Any) -> Any:
    status, text = await pilot.ask(path, **options)
    assert status == 200, text
    return json.loads(text)


async def test_proxies(pilot: Served) -> None:
    assert await told(pilot, "/proxies") == [
        True, False, "jsnull", False, True,
        True, False, False,
        ["a", "b", "keys"], ["0", 1], 3, 3,
        "dict", True, True,
        "Object", "Array", "object", False,
        [1, 1], 2, True, True,
    ]  # fmt: skip


async def test_conversions(pilot: Served) -> None:
    assert await told(pilot, "/conversions") == [
        True, 1, True, True, 1, 1, 1, True, True, "JsBigInt", ["s", 1.5, True], 1,
    ]  # fmt: skip


async def test_callables(pilot: Served) -> None:
    assert await told(pilot, "/callables") == [True, 1]


async def test_streams_and_buffers(pilot: Served) -> None:
    assert await told(pilot, "/streams") == ["one ", False, "one two", ["ab"], "xyz", 3, "x"]


async def test_events_and_channels(pilot: Served) -> None:
    before = len(pilot.events)
    refused = "EvalError: Code generation from strings disallowed for this context"
    assert await told(pilot, "/events") == [[5, 1000, "", True, False, True, True], True, False, 1, refused]
    await pilot.says("told of", since=before)


async def test_signals(pilot: Served) -> None:
    assert await told(pilot, "/signals") == [True, True]


async def test_a_digest_of_a_stream(pilot: Served) -> None:
    sent = bytes(range(256)) * 1000
    assert await told(pilot, "/digests", method="POST", data=sent) == [hashlib.sha256(sent).hexdigest(), True, 36, True]


async def test_the_language(pilot: Served) -> None:
    assert await told(pilot, "/language") == [
        "a%20b%26c%2F%C3%A9", "a b", "http://x/a%20b?c=d&e",
        "%26a b", 12, 255, 31, 150,
        True, 42, "null", False, 2, 513,
        8, 1.5, 2,
        "2024-02-29T12:30:00.250Z", 1709209800250, 1, 4, "2025-01-01T00:00:00.000Z",
        '{"at":"2024-02-29T12:30:00.250Z"}', ["a"], [["0", "x"]], "a-b", "a-b1",
        "AbortError", "Cloudflare-Workers", True,
        1, True, 6,
        True, True,
    ]  # fmt: skip


async def test_promises(pilot: Served) -> None:
    assert await told(pilot, "/promises") == [3, 1]
    wrong = "InvalidCharacterError"
    assert await told(pilot, "/refusals") == [wrong, wrong, "RangeError", "URIError", 2]


async def test_what_fetch_of_js_answers_is_a_proxy(pilot: Served) -> None:
    assert await told(pilot, "/asked") == [1, True, True]


async def test_an_event_source(pilot: Served) -> None:
    assert await told(pilot, "/sourced") == [["one\nmore", ["two", "7"]], 2]


async def test_bindings_that_are_not_wrapped_answer_proxies(pilot: Served) -> None:
    assert await told(pilot, "/raw") == [[[1, "x"]], [{"one": 1}], [1, None], '{"x": [1, null]}']
