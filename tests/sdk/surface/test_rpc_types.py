"""``python_to_rpc`` and ``python_from_rpc``, there and back; options of ``fetch`` that the SDK's takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import ROUTER, serving, write

ENTRY = (
    """
import datetime
import js
from js import Date, JSON
from pyodide.code import run_js
from pyodide.ffi import jsnull
from workers import (
    Blob, DurableObject, File, FormData, Request, Response, fetch as asked, python_from_rpc, python_to_rpc,
)

MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5)

class Thing(DurableObject):
    async def echo(self, value):
        return value

def there():
    made = python_to_rpc({"a": None, "b": [1, None], "at": MOMENT, "items": {"c": b"x"}})
    values = (Response("x"), FormData({"a": "b"}), Blob("x"), File("x", "n"), b"x", [1], {"a": 1}, {1}, ValueError("x"))
    refused = []
    for value in ((1,), bytearray(b"x")):
        try:
            python_to_rpc(value)
        except TypeError as error:
            refused.append(str(error))
    return Response.json([
        made.a is jsnull, made.b[1] is jsnull, made.at.toISOString()[:10], made["items"].c.to_bytes().decode(),
        [python_to_rpc(value).constructor.name for value in values], python_to_rpc(lambda one: one + 1)(1),
        python_to_rpc(None) is jsnull, refused,
    ])

def back():
    form = js.FormData.new()
    form.append("a", "b")
    plain, kept = python_from_rpc(JSON.parse('{"a": null, "b": {"c": [null]}}')), Response("q")
    return Response.json([
        plain, plain.b.c, python_from_rpc(Date.new(0)) == datetime.datetime.fromtimestamp(0),
        python_from_rpc(js.Map.new([["x", 1]])), type(python_from_rpc(js.Response.new("x"))) is Response,
        python_from_rpc(kept.js_object) is kept, repr(python_from_rpc(js.Error.new("bad"))), python_from_rpc(form)["a"],
        type(python_from_rpc(form)) is FormData, python_from_rpc(js.File.new(["a"], "n")).name,
        bytes(python_from_rpc(js.Uint8Array.new([65]))).decode(), python_from_rpc(jsnull), python_from_rpc("x"),
    ])

async def calls(env):
    stub = env.THING.getByName("a")
    values = (None, {"a": None}, [1, None], MOMENT, {1})
    return Response.json([await stub.echo(python_to_rpc(value)) == value for value in values])

async def options(request):
    async def mine(request):
        return Response(f"{request.method} {request.headers['x-a']}")
    url, failed = request.url.rpartition("/")[0] + "/text", []
    answers = [await asked(url, cache="no-store", credentials="omit"),
               await asked(url, fetcher=mine, method="PUT", headers={"x-a": "1"}),
               await js.fetch(Request(url, mode="cors"), cache="no-cache")]
    for call in (lambda: run_js("1 + 1"), lambda: run_js(1), lambda: js.Response.new("x", status=99)):
        try:
            call()
        except Exception as error:
            failed.append(f"{type(error).__name__} {error}"[:24])
    return Response.json([[await answer.text() for answer in answers], failed])

def text():
    return Response("some text")
"""
    + ROUTER
)
CONFIG = """
durable_objects = { bindings = [{ name = "THING", class_name = "Thing" }] }
migrations = [{ tag = "v1", new_sqlite_classes = ["Thing"] }]
"""
KINDS = ["Response", "FormData", "Blob", "File", "Uint8Array", "Array", "Object", "Set", "Error"]
REFUSED = [f"<class '{name}'> cannot be sent over RPC." for name in ("tuple", "bytearray")]


@pytest.mark.asyncio
async def test_values_there_and_back(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        assert await pilot.told("/there") == [True, True, "2020-01-02", "x", KINDS, 2, True, REFUSED]
        assert await pilot.told("/back") == [
            {"a": None, "b": {"c": [None]}}, [None], True, {"x": 1}, True, True, "Exception('Error: bad')", "b",
            True, "n", "A", None, "x",
        ]  # fmt: skip
        assert await pilot.told("/calls") == [True] * 5
        assert await pilot.told("/options") == [
            ["some text", "PUT 1", "some text"],
            ["JsException EvalError: C", "TypeError argument shoul", "JsException RangeError: "],
        ]
