"""Blob, File and FormData, and the encodings of forms."""

from __future__ import annotations

import asyncio
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest

from runtime.web import Blob, File, FormData, Request, Response, URLSearchParams


async def test_blobs() -> None:
    blob = Blob(["é", b"b", Blob(["c"])], type="Text/Plain")
    assert (blob.size, len(blob), blob.type, bytes(blob)) == (4, 4, "text/plain", "ébc".encode())
    assert await blob.text() == "ébc"
    assert await blob.bytes() == await blob.array_buffer() == await blob.arrayBuffer() == bytes(blob)
    assert bytes(blob.slice(1, -1, "a/b")) == b"\xa9b"
    assert b"".join([c async for c in blob.stream()]) == bytes(blob)
    assert Blob(type="bad\x00").type == ""
    assert (bytes(Blob("text")), bytes(Blob(b"bytes"))) == (b"text", b"bytes"), "one part, as in the SDK"
    with pytest.raises(TypeError, match="Don't know how to handle <class 'int'>"):
        Blob([1])


def test_files() -> None:
    file = File(["x"], "x.txt", type="text/plain", last_modified=5)
    assert (file.name, file.type, file.last_modified, file.lastModified) == ("x.txt", "text/plain", 5, 5)
    assert File([], "y").last_modified > 1_600_000_000_000


def test_form_data_is_a_list_of_pairs() -> None:
    form = FormData({"a": "1"})
    form.append("a", 2)
    form.append("f", b"content")
    form.append("g", Blob(["x"], type="a/b"), "g.bin")
    assert form.get_all("a") == form.getAll("a") == ["1", "2"]
    assert (form["f"].name, form["g"].name, form["g"].type) == ("blob", "g.bin", "a/b")
    form.set("a", "3")
    form.delete("f")
    assert form.keys() == ["a", "g"]
    assert form.values()[0] == "3"
    assert form.has("a")
    assert "f" not in form
    assert form.get("f") is None
    again = FormData([("x", File([], "keep.txt"))])
    assert again["x"].name == "keep.txt"


async def test_multipart_there_and_back() -> None:
    form = FormData({"plain": "a\nb", 'na"me\r\n': "é", "empty": ""})
    form.append("file", File([b"\0\r\n--\xff"], 'ca"t é.png', type="image/png"))
    form.append("many", "1")
    form.append("many", "2")
    back = await Response(form).form_data()
    assert back["plain"] == "a\r\nb"
    assert back['na"me\r\n'] == "é"
    assert back["empty"] == ""
    assert back.get_all("many") == ["1", "2"]
    file = back["file"]
    assert (file.name, file.type, bytes(file)) == ('ca"t é.png', "image/png", b"\0\r\n--\xff")


async def test_others_can_read_our_multipart() -> None:
    response = Response(FormData({"a": "1", "f": File(["x"], "x.txt")}))
    head = f"content-type: {response.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + await response.bytes())
    parts = {p.get_param("name", header="content-disposition"): p for p in message.iter_parts()}  # type: ignore[attr-defined]
    assert parts["a"].get_payload() == "1"
    assert parts["f"].get_filename() == "x.txt"


EMPTY_PART = b'--X\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n'
BROWSER = (
    b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
    b'--X\r\nContent-Disposition: form-data; name="f"; filename=""\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\r\n"
    b"--X--\r\n"
)


def posted(body: bytes, kind: str | None) -> Request:
    headers = [] if kind is None else [(b"content-type", kind.encode())]
    return Request.from_parts("POST", "http://a/", headers, body)


async def test_what_browsers_send() -> None:
    form = await posted(BROWSER, 'multipart/form-data; boundary="X"').form_data()
    assert form["a"] == "one"
    assert (form["f"].name, form["f"].size) == ("", 0)
    empty = await posted(b"--X--\r\n", "multipart/form-data; boundary=X").formData()
    assert len(empty) == 0


async def test_urlencoded() -> None:
    kind = "Application/x-www-form-urlencoded; charset=utf-8"
    form = await posted(b"a=1&b=x+y%26&a=%C3%A9&c", kind).form_data()
    assert form.items() == [("a", "1"), ("b", "x y&"), ("a", "é"), ("c", "")]
    request = Request("http://a/", method="POST", body=URLSearchParams({"a": "é"}))
    assert (await request.form_data())["a"] == "é"


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"{}", "application/json", "not 'application/json'"),
        (b"x", None, "not 'none'"),
        (b"x", "multipart/form-data", "without a boundary"),
        (b"nonsense", "multipart/form-data; boundary=X", "malformed"),
        (BROWSER[:-9], "multipart/form-data; boundary=X", "ends before"),
        (b"--X\r\n\r\nnameless\r\n--X--\r\n", "multipart/form-data; boundary=X", "part without a name"),
        (b"", "multipart/form-data; boundary=X", "ends before"),
        (b"x", "multipart/form-data; boundary=" + "b" * 1000, "malformed"),
        (EMPTY_PART * 30_000 + b"--X--\r\n", "multipart/form-data; boundary=X", "more than 25000 parts"),
        (b"&" * 30_000, "application/x-www-form-urlencoded", "more than 25000 fields"),
        (b"--X\r\na: " + b"b" * 100_000 + b"\r\n\r\n\r\n--X--\r\n", "multipart/form-data; boundary=X", "malformed"),
    ],
)
async def test_bodies_that_are_no_form(body: bytes, kind: Any, what: str) -> None:
    with pytest.raises(TypeError, match=what):
        await posted(body, kind).form_data()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (EMPTY_PART * 3000 + b"--X--\r\n", "multipart/form-data; boundary=X"),
        (b"&".join(b"a=%d" % number for number in range(20_000)), "application/x-www-form-urlencoded"),
    ],
)
async def test_others_have_their_turn_while_a_form_is_read(body: bytes, kind: str) -> None:
    turns, reading = 0, asyncio.create_task(posted(body, kind).form_data())
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await reading) == body.count(b"&") + 1 or len(await reading) == 3000
    assert turns > 3


async def test_forms_of_careless_senders() -> None:
    latin = await posted(b"name=Jos%E9&x=1", "application/x-www-form-urlencoded").form_data()
    assert latin.items() == [("name", "Jos\ufffd"), ("x", "1")]
    preceded = b"not for you\r\n" + EMPTY_PART + b"--X--\r\n"
    assert len(await posted(preceded, "multipart/form-data; boundary=X").form_data()) == 1
