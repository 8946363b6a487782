"""What stands for JavaScript's objects has the members and the methods that Python Workers call on them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = (
    ROUTER
    + """
import asyncio, datetime, json
import js
import pyodide_js
from js import Array, Date, Error, Headers, JSON, Map, Object, Promise, String, Uint8Array, URL, URLSearchParams
from pyodide.ffi import JsException, create_proxy, to_js
from workers import Response, DurableObject, WorkerEntrypoint, import_from_javascript

async def members(env):
    await env.KV.put("k", "v")
    listed = await env.KV.list()
    sheet = JSON.parse('{"values": [[1]], "items": {"data": [2]}, "keys": 3}')
    listed.keys.append("more")
    return Response.json([
        listed.keys[0].name, listed["keys"][1], list(listed.keys()), sorted(dict(listed)),
        json.loads(json.dumps(listed)),
        sheet.values[0], sheet.items.data, dict(sheet.items()), len(sheet.values()), sorted(sheet.keys()),
        JSON.stringify(sheet),
    ])

async def arrays(env):
    await env.DB.exec("CREATE TABLE t (n)")
    rows = (await env.DB.batch([env.DB.prepare("INSERT INTO t VALUES (1), (2) RETURNING n")]))[0].results
    items = to_js([3, 1, 2])
    gone = items.splice(0, 1)
    raw = await env.DB.prepare("SELECT n FROM t").raw()
    return Response.json([
        rows.to_py(), rows.length, [row.n for row in rows], raw.to_py(), env.OBJ.a[1].b, env.OBJ.to_py(),
        gone, items.sort(lambda a, b: b - a), items.findIndex(lambda n: n == 1), items.toReversed(), items.fill(0),
        dict(Object.entries({"a": 1})), list(Object.keys(env)), Array.from_("ab").flatMap(lambda c: [c, c]),
    ])

async def steps(env):
    found = Map.new([["a", 1], ["b", 2]])
    headers = Headers.new({"a": "1", "b": "2"})
    seen = []
    headers.forEach(lambda value, name: seen.append([name, value]))
    headers.forEach(create_proxy(lambda value: seen.append(value)))
    both = await env.KV.get(["k", "none"])
    return Response.json([
        found.keys().next().value, len(found.keys()), next(found.values()), found.entries().next().value,
        [[name, value] for name, value in headers], dict(headers), headers.keys().next(), "a" in headers, seen,
        Object.fromEntries(URLSearchParams.new("q=1&r=2")), [[*pair] for pair in URL.new("a:b?c=d").searchParams],
        both.size, both.get("none"), both.k,
    ])

def dates():
    day = Date.new(2024, 0, 20, 22, 30)
    day.setDate(31)
    day.setUTCHours(25, 1)
    return Response.json([
        day.toISOString(), day.toLocaleDateString(), day.toLocaleTimeString("en-US"),
        day.toLocaleString("en-US", {"timeZone": "America/New_York"}), JSON.stringify(to_js({"on": day})),
    ])

async def uploaded(env):
    await env.BUCKET.put("a", "b")
    [listed] = (await env.BUCKET.list()).objects
    text = listed.uploaded.toISOString()
    same = datetime.datetime.fromisoformat(text).timestamp() == listed.uploaded.timestamp()
    return Response.json([same, repr(listed.uploaded).startswith("datetime.datetime(2")])

def values():
    made = Object.defineProperty(Object.new(), "a", {"value": 1})
    groups = Object.groupBy([1, 2, 3], lambda n: "odd" if n % 2 else "even")
    return Response.json([
        Object.getOwnPropertyNames(made), getattr(Object, "is")(1, 1), groups.odd, groups.even,
        js.Math.hypot(3, 4), js.Math.sign(-2), js.Math.cbrt(8), js.Math.log2(8), js.Math.sin(0),
    ])

def elsewhere():
    return Date.new().toLocaleDateString("de-DE")

def texts():
    proxy = create_proxy(b"bytes")
    buffer = proxy.getBuffer()
    taken = Uint8Array.new(buffer.data)
    buffer.release()
    proxy.destroy()
    return Response.json([
        taken.to_string(), taken.at(-1), taken.includes(98), String.fromCharCode(*taken),
        js.btoa(String.fromCharCode(255)), String.fromCharCode(0xd83d, 0xde00), String.fromCodePoint(0x1f600),
        String(1.0), Uint8Array.new(2).fill(7).toString(),
        JSON.stringify(to_js({"whole": 1.0, "half": 0.5, "none": float("nan")})),
        Error.new("no").toString(), js.Response.new("").constructor.name, Headers.new().typeof,
        pyodide_js.version != "",
    ])

def errors():
    Error.stackTraceLimit = 1e10
    failed = Error.new("late", cause=Error.new())
    return Response.json([failed.stack, failed.cause.stack, hasattr(Error.new("no"), "cause")])

async def key():
    algorithm = to_js({"name": "HMAC", "hash": "SHA-256"}, dict_converter=Object.fromEntries)
    made = await js.crypto.subtle.generateKey(algorithm, True, to_js(["sign"]))
    exported = await js.crypto.subtle.exportKey("jwk", made)
    named = [made.algorithm.name, made.algorithm.hash.name]
    return Response.json([*named, exported.to_py()["key_ops"], exported.key_ops.length])

async def aborted():
    controller = js.AbortController.new()
    controller.abort()
    names = []
    for signal in (controller.signal, js.AbortSignal.timeout(1), js.AbortSignal.abort()):
        try:
            await asyncio.sleep(0.05)
            await js.fetch("http://127.0.0.1:9/", to_js({"signal": signal}, dict_converter=Object.fromEntries))
        except JsException as error:
            names.append(error.name)
    return Response.json(names)

class Kept(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)

        @self.ctx.blockConcurrencyWhile
        async def start():
            kept = await self.ctx.storage.list(reverse=True, limit=1)
            self.last = int(kept.keys().next().value) if len(kept) else 0

    async def add(self, value):
        await self.ctx.storage.put(str(self.last + 1), value)
        kept = await self.ctx.storage.list()
        first = await self.ctx.storage.get("1")
        self.last += 1
        return [kept.size, [key for key in kept.keys()], first.to_py()]

    async def moment(self, at):
        await self.ctx.storage.setAlarm(Date.new(Date.now() + 60000))
        due = await self.ctx.storage.getAlarm() - Date.now()
        await self.ctx.storage.deleteAlarm()
        return [type(at).__name__, (at - datetime.datetime(1970, 1, 1)).days, due > 30000]

async def kept(env):
    stub = env.KEPT.getByName("a")
    return Response.json([await stub.add(["x"]), await stub.add(["y"]), await stub.moment(Date.new(86400000 * 2))])

def a_moment():
    return datetime.datetime(2026, 1, 1).toISOString()

def a_view():
    return memoryview(b"").byteLength
"""
)
CONFIG = """
kv_namespaces = [{ binding = "KV" }]
d1_databases = [{ binding = "DB", database_name = "db" }]
durable_objects.bindings = [{ name = "KEPT", class_name = "Kept" }]
migrations = [{ tag = "1", new_sqlite_classes = ["Kept"] }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
vars = { OBJ = { a = [1, { b = 2 }] } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("proxies")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as served:
        yield served


async def answer(pilot: Served, path: str) -> list[object]:
    status, text = await pilot.ask(path)
    assert status == 200, pilot.log()
    found: list[object] = json.loads(text)
    return found


async def test_a_member_may_be_called_like_a_method_of_dicts(pilot: Served) -> None:
    listed = {"keys": [{"name": "k"}, "more"], "list_complete": True, "cacheStatus": None}
    names = sorted(listed)
    assert await answer(pilot, "/members") == [
        "k", "more", ["keys", "list_complete", "cacheStatus"], names, listed, [1], [2],
        {"values": [[1]], "items": {"data": [2]}, "keys": 3}, 3, ["items", "keys", "values"],
        '{"values":[[1]],"items":{"data":[2]},"keys":3}',
    ]  # fmt: skip


async def test_what_is_a_list_is_an_array_too(pilot: Served) -> None:
    assert await answer(pilot, "/arrays") == [
        [{"n": 1}, {"n": 2}], 2, [1, 2], [[1], [2]], 2, {"a": [1, {"b": 2}]},
        [3], [0, 0], 1, [1, 2], [0, 0], {"a": 1}, ["OBJ", "KV", "BUCKET", "DB", "KEPT"], ["a", "a", "b", "b"],
    ]  # fmt: skip


async def test_iterators_have_a_next_and_headers_come_in_pairs(pilot: Served) -> None:
    await answer(pilot, "/members")
    assert await answer(pilot, "/steps") == [
        "a", 2, 1, ["a", 1], [["a", "1"], ["b", "2"]], {"a": "1", "b": "2"}, {"done": False, "value": "a"}, True,
        [["a", "1"], ["b", "2"], "1", "2"], {"q": "1", "r": "2"}, [["c", "d"]], 2, None, "v",
    ]  # fmt: skip


async def test_a_date_is_set_and_written_as_in_america(pilot: Served) -> None:
    assert await answer(pilot, "/dates") == [
        "2024-02-01T01:01:00.000Z", "2/1/2024", "1:01:00 AM", "1/31/2024, 8:01:00 PM",
        '{"on":"2024-02-01T01:01:00.000Z"}',
    ]  # fmt: skip
    since = len(pilot.events)
    assert (await pilot.ask("/elsewhere"))[0] == 500
    await pilot.says("knows en-US alone, not de-DE", since=since)


async def test_a_keys_algorithm_is_an_object(pilot: Served) -> None:
    assert await answer(pilot, "/key") == ["HMAC", "SHA-256", ["sign"], 1]


async def test_when_an_object_was_uploaded_is_a_date_and_a_datetime(pilot: Served) -> None:
    assert await answer(pilot, "/uploaded") == [True, True]


async def test_objects_and_mathematics(pilot: Served) -> None:
    assert await answer(pilot, "/values") == [["a"], True, [1, 3], [2], 5, -1, 2, 3, 0]


async def test_bytes_texts_and_numbers(pilot: Served) -> None:
    assert await answer(pilot, "/texts") == [
        "bytes", 115, True, "bytes", "/w==", "\U0001f600", "\U0001f600", "1", "7,7",
        '{"whole":1,"half":0.5,"none":null}', "Error: no", "Response", "object", True,
    ]  # fmt: skip


async def test_an_errors_stack_begins_with_what_it_says(pilot: Served) -> None:
    assert await answer(pilot, "/errors") == ["Error: late", "Error", False]


async def test_what_is_aborted_fails_with_an_error_of_javascripts(pilot: Served) -> None:
    assert await answer(pilot, "/aborted") == ["AbortError", "TimeoutError", "AbortError"]


async def test_an_objects_list_is_a_map_whose_lists_are_arrays(pilot: Served) -> None:
    first, second, moment = await answer(pilot, "/kept")
    assert (first, second, moment) == ([1, ["1"], ["x"]], [2, ["1", "2"], ["x"]], ["datetime", 2, True])


@pytest.mark.parametrize(("path", "said"), [("/a_moment", ".isoformat()"), ("/a_view", "bytes(...)")])
async def test_what_is_pythons_says_what_does_the_same(pilot: Served, path: str, said: str) -> None:
    since = len(pilot.events)
    assert (await pilot.ask(path))[0] == 500
    await pilot.says(said, since=since)
