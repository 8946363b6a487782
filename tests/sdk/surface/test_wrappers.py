"""The types of ``workers`` beside those of ``js``: what they look like, what they refuse, what is within them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving import ROUTER, serving, write

ENTRY = (
    """
import js
from pyodide.ffi import JsException
from workers import Blob, File, FormData, Request, Response

def said(make):
    try:
        made = make()
    except Exception as error:
        return [type(error).__name__.strip("_"), str(error)]
    return repr(made)

def looks():
    asked = Request("http://a.b/c", method="POST", body="x")
    made = Response("x", status=201, status_text="Yes", headers={"content-type": "a/b"})
    return Response.json([repr(asked), repr(made), repr(Response(None)), asked.cf])

async def refusals():
    used, spent = Request("http://a.b/", method="POST", body="x"), Response("x")
    await used.text(), await spent.text()
    form = FormData()
    return Response.json([
        said(lambda: Response(5)), said(lambda: Response({"a": 1})),
        said(lambda: Response(js.Response.new("x"), status=201)),
        said(used.clone), said(spent.clone), said(lambda: FormData(5)), said(lambda: form.__setitem__("a", ["b"])),
        said(lambda: Blob(5)), said(lambda: Request("http://a.b/", headers=5)),
    ])

def thrown():
    seen = []
    for make in (lambda: js.Response.new("x", status=99), lambda: js.URL.new("nope"),
                 lambda: js.Headers.new([["a b", "c"]])):
        for kind in (JsException, (TypeError, ValueError)):
            try:
                make()
            except kind as error:
                seen.append(error.name)
    return Response.json(seen)

async def within(request):
    pairs = [name for name, value in request.js_object.headers if name == "x-a"]
    names = [name for name in request.headers if name == "x-a"]
    asked = await request.js_object.json()
    answer = Response('{"none": null}', headers={"x-b": "c"})
    copy = answer.js_object.clone()
    inside = answer.js_response
    form, blob, file = FormData({"a": "b"}), Blob("ab", content_type="a/b"), File("abc", "n.txt", last_modified=5)
    form.js_object.append("a", "c")
    return Response.json([
        pairs, names, asked.job.number, request.body_used, js.Object.fromEntries(inside.headers.entries()).to_py(),
        repr((await copy.json()).none), answer.body_used, repr((await inside.json()).none), answer.body_used,
        [one.constructor.name for one in (request.js_object, inside, form.js_object, blob.js_object, file.js_object)],
        [isinstance(one, cls) for one, cls in ((inside, js.Response), (form.js_object, js.FormData))],
        form.get_all("a"), file.js_object.lastModified, blob.js_object.type, inside.js_object is inside,
    ])

async def inner(request):
    answer = Response("inside " + await request.text(), headers={"x-c": "d"})
    return answer.js_object

async def passed(request):
    inside = js.Request.new(request.url.replace("passed", "inner"), request.js_object)
    answer = await js.fetch(inside.js_object)
    return Response(answer.js_object.body, headers=answer.js_object.headers)

async def misses():
    form, headers = FormData({"a": "b"}), Response("x").headers
    sizes = js.Float64Array.new([1, 2])
    return Response.json([
        form["none"], form.get("none", "d"), form.pop("none", "d"), form.setdefault("e", "f"), headers.get_all("none"),
        headers.getAll("none"), Blob([sizes]).size, len(await Response(sizes).bytes()),
    ])
"""
    + ROUTER
)


@pytest.mark.asyncio
async def test_the_types(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:

        async def told(path: str, **options: object) -> object:
            status, text = await pilot.ask(path, **options)  # type: ignore[arg-type]
            assert status == 200, text
            return json.loads(text)

        assert await told("/looks") == [
            "Request(method='POST', url='http://a.b/c')",
            "Response(status=201, status_text='Yes', content_type='a/b')",
            "Response(status=200)",
            None,
        ]
        begun = [
            ["TypeError", "Unsupported type in Response: int"],
            ["TypeError", "Unsupported type in Response: dict"],
            ["ValueError", "Expected no options when constructing Response from a js.Response"],
            ["BodyUsedError", "Body already used"],
            ["BodyUsedError", "Response body is already used"],
            ["TypeError", "Expected form_data to be a dict or an instance of FormData"],
            ["TypeError", "Expected single item in arguments to FormData.__setitem__"],
            ["TypeError", "Don't know how to handle <class 'int'> for Blob()"],
            ["TypeError", "Received unexpected type for headers argument"],
        ]
        refused = await told("/refusals")
        assert isinstance(refused, list)
        for (name, text), (wanted, beginning) in zip(refused, begun, strict=True):
            assert (name, text[: len(beginning)]) == (wanted, beginning)
        names = ["RangeError", "TypeError", "TypeError"]
        assert await told("/thrown") == [name for name in names for _ in range(2)]
        sent = {"job": {"number": 1}}
        assert await told("/within", method="POST", json=sent, headers={"x-a": "1"}) == [
            ["x-a"], ["x-a"], 1, True, {"content-type": "text/plain;charset=UTF-8", "x-b": "c"},
            "jsnull", False, "jsnull", True,
            ["Request", "Response", "FormData", "Blob", "File"], [True, True],
            ["b", "c"], 5, "a/b", True,
        ]  # fmt: skip
        assert await pilot.ask("/passed", "POST", data="and out") == (200, "inside and out")
        assert await told("/misses") == [None, "d", "d", "f", None, [], 16, 16]
