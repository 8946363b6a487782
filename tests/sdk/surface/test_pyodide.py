"""``pyodide.ffi`` and ``pyodide.http``, as Pyodide documents them, in a worker."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from serving import ROUTER, serving, write

ENTRY = """
import io, json, os, tempfile
import js
from js import Array, JSON, Object, Uint8Array
from pyodide import http
from pyodide.ffi import JsBigInt, JsException, JsNull, create_once_callable, destroy_proxies, jsnull, to_js
from pyodide.http import open_url, pyfetch
from workers import Response, fetch as asked

def numbers():
    one, two = JsBigInt(7), JsBigInt(2)
    made = [one + two, one - 1, one * two, one // two, one % two, one ** 2, one << 1, -one, abs(one), ~one, one & 3]
    return Response.json([made, all(type(number) is JsBigInt for number in made), type(1 + 1).__name__])

def nulls():
    parsed = JSON.parse('{"a": [null]}')
    refused = ""
    try:
        json.dumps([object()])
    except TypeError as error:
        refused = str(error)[:14]
    return Response.json([
        JsNull() is jsnull, jsnull.typeof, json.dumps(parsed.to_py()), json.dumps(jsnull), refused,
    ])

def proxies():
    kept = Array.new()
    to_js([lambda: 1, "text", {"a": object()}], pyproxies=kept)
    count = len(kept)
    destroy_proxies(kept)
    gone = []
    for call in (kept[0], create_once_callable(lambda: 1)):
        try:
            call(), call()
        except Exception as error:
            gone.append(str(error))
    made, caught = JsException("AbortError", "enough"), []
    for raised in (made, js.Error.new("bad")):
        try:
            raise raised
        except JsException as error:
            caught.append(str(error))
    assert (made.name, made.message, made.stack, isinstance(made, JsException)) == (
        "AbortError", "enough", "AbortError: enough", True)
    assert caught == ["AbortError: enough", "Error: bad"], caught
    return Response.json([count, gone, Object.new(a=1).a, list(Object.create(None, {"b": {"value": 2}}).object_keys())])

def buffers():
    buffer, out = Uint8Array.new(5), io.BytesIO()
    buffer.from_file(io.BytesIO(b"abcdefg"))
    buffer.to_file(out)
    try:
        buffer.assign(b"four")
    except ValueError as error:
        refused = str(error)
    return Response.json([
        out.getvalue().decode(), refused, buffer.BYTES_PER_ELEMENT, js.ArrayBuffer.isView(buffer), buffer.to_string(),
        [value.constructor.name for value in (buffer, js.Float64Array.new(1), js.Set.new(), js.Map.new(),
         js.Date.new(0), js.Error.new("a"), js.RangeError.new("b"))],
        js.Set.new().add(1).has(1),
    ])

async def answers(request):
    base = request.url.rpartition("/")[0]
    folder = tempfile.mkdtemp()
    packed = await pyfetch(base + "/packed.zip")
    await packed.clone()._create_file(folder + "/whole")
    await packed.unpack_archive(extract_dir=folder)
    text = await pyfetch(base + "/text", method="POST")
    copy = text.clone()
    seen = []
    for work in (lambda: pyfetch("http://127.0.0.1:1/"), lambda: asked("http://127.0.0.1:1/"), text.text):
        text.abort("enough")
        try:
            await work()
        except http.AbortError as error:
            seen += [isinstance(error, OSError), isinstance(error, TypeError)]
    try:
        Response("x").clone().js_response and http.FetchResponse("", Response("x")).abort()
    except ValueError as error:
        seen.append(str(error))
    return Response.json([
        open(folder + "/inside.txt").read(), os.path.getsize(folder + "/whole") > 50,
        packed.js_request.url == packed.url, type(packed).__name__,
        [isinstance(Response("x"), http.FetchResponse), issubclass(Response, http.FetchResponse)],
        copy.abort_signal.aborted, seen, open_url(base + "/text").read(),
    ])

async def text():
    return Response("some text")
""" + ROUTER.replace(
    "route = globals()",
    'if request.url.endswith(".zip"):\n        return Response(open("packed.zip", "rb").read())\n    route = globals()',
)


@pytest.mark.asyncio
async def test_pyodides_modules(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", "inside")
    write(tmp_path, ENTRY)
    (tmp_path / "packed.zip").write_bytes(packed.getvalue())
    async with serving(tmp_path) as pilot:

        async def told(path: str) -> object:
            status, text = await pilot.ask(path)
            assert status == 200, text
            return json.loads(text)

        assert await told("/numbers") == [[9, 6, 14, 3, 1, 49, 14, -7, 7, -8, 3], True, "int"]
        assert await told("/nulls") == [True, "object", '{"a": [null]}', "null", "Object of type"]
        assert await told("/proxies") == [
            2,
            ["Error: Object has already been destroyed", "Error: OnceProxy can only be called once"],
            1,
            ["b"],
        ]
        assert await told("/buffers") == [
            "abcde", "cannot assign 4 bytes to a buffer of 5", 1, True, "abcde",
            ["Uint8Array", "Float64Array", "Set", "Map", "Date", "Error", "RangeError"],
            True,
        ]  # fmt: skip
        assert await told("/answers") == [
            "inside", True,
            True, "FetchResponse",
            [True, True],
            True, [True, True, True, True, True, False, "abort_controller is not set"], "some text",
        ]  # fmt: skip
