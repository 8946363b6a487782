"""Bodies: what one can be made of, that it is read once, and that it passes through untouched."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from io import BytesIO
from typing import Any

import pytest

from bodies_support import Source, count
from runtime.web import Blob, FormData, ReadableStream, Request, Response, URLSearchParams, to_bytes


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        (None, b"", None),
        ("hé", "hé".encode(), "text/plain;charset=UTF-8"),
        ("", b"", "text/plain;charset=UTF-8"),
        (b"\0\1", b"\0\1", None),
        (bytearray(b"ab"), b"ab", None),
        (memoryview(b"ab"), b"ab", None),
        (URLSearchParams({"a": "1 2"}), b"a=1+2", "application/x-www-form-urlencoded;charset=UTF-8"),
        (Blob(["x", b"y"], type="Text/CSS"), b"xy", "text/css"),
        (Blob([b"y"]), b"y", None),
    ],
)
async def test_what_a_body_is_made_of(body: Any, content: bytes, kind: str | None) -> None:
    for message in (Response(body), Request("http://a/", method="POST", body=body)):
        assert message.headers.get("content-type") == kind
        assert await message.bytes() == content


async def test_streams_have_no_content_type_and_may_yield_text() -> None:
    response = Response(count(3))
    assert response.headers.get("content-type") is None
    assert await response.text() == "012"


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        ({"a": 1}, "Response.json(data)"),
        ([1], "Response.json(data)"),
        (BytesIO(b"a"), "Response(file.read())"),
        ((c for c in "ab"), "async def generate()"),
        (5, "use str, bytes"),
        (object(), "use str, bytes"),
        (Response("x"), "Response(other.body"),
    ],
)
def test_what_cannot_be_a_body_names_the_remedy(body: Any, remedy: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Response(body, headers={})
    assert remedy in str(caught.value)


async def test_a_coroutine_as_body_asks_for_await() -> None:
    pending = asyncio.sleep(0)
    with pytest.raises(TypeError, match="awaited first"):
        Response(pending)
    await pending


@pytest.mark.parametrize("body", ["x", Source("x"), b"x"])
async def test_a_body_is_read_once(body: Any) -> None:
    response = Response(body)
    assert not response.body_used
    assert await response.text() == "x"
    assert response.body_used
    assert response.bodyUsed
    with pytest.raises(TypeError, match=r"already used|used already"):
        await response.text()
    with pytest.raises(TypeError, match=r"already used|used already"):
        response.clone()
    with pytest.raises(TypeError, match=r"already used|used already"):
        response.take_body()


async def test_no_body_can_be_read_again_and_is_never_used() -> None:
    response = Response()
    assert response.body is None
    assert await response.text() == ""
    assert await response.bytes() == b""
    assert not response.body_used


async def test_readers() -> None:
    assert await Response('{"a": [1, null]}').json() == {"a": [1, None]}
    assert await Response(b"\xef\xbb\xbfbom\xff").text() == "bom�"
    assert await Response(b"ab").array_buffer() == b"ab"
    assert await Response(b"ab").arrayBuffer() == b"ab"
    blob = await Response("ab").blob()
    assert (blob.size, blob.type, await blob.text()) == (2, "text/plain;charset=utf-8", "ab")
    with pytest.raises(json.JSONDecodeError):
        await Response("{").json()


@pytest.mark.parametrize(
    "text",
    [
        "[NaN, -Infinity, 1e400]",
        r'"\ud800"',
        "1" * 40,
        "-0",
        "-0.0",
        '{"a": 1, "a": 2}',
        "\ufeff1",
        " 1 ",
        '"\x7f"',
        "0.1",
    ],
)
async def test_json_is_what_pythons_json_reads(text: str) -> None:
    found = await Response(text.encode()).json()
    assert repr(found) == repr(json.loads(text.removeprefix("\ufeff")))


@pytest.mark.parametrize("text", ["", "[1,]", "1 2", "01", '"\x01"', "[1]\0", "nan", "'a'"])
async def test_what_python_does_not_read_is_told_in_its_words(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as told:
        json.loads(text)
    with pytest.raises(json.JSONDecodeError, match=re.escape(str(told.value))):
        await Response(text).json()


async def test_json_that_is_not_utf_8_reads_as_its_text() -> None:
    assert await Response(b'"a\xff"').json() == "a\ufffd"
    assert await Response("[1.5]").json(parse_float=str) == ["1.5"]


async def test_the_body_is_one_stream_that_can_be_handed_on() -> None:
    source = Source(b"a", b"b")
    first = Response(source)
    assert first.body is first.body
    second = Response(first.body)
    assert second.take_body() is source
    assert first.body_used
    assert second.body_used
    assert not source.started
    with pytest.raises(TypeError, match=r"already used|used already"):
        Response(first.body)


async def test_bytes_stay_bytes_when_their_stream_is_handed_on() -> None:
    first = Response("text")
    assert Response(first.body).take_body() == b"text"
    assert first.body_used
    read = Response("text")
    await read.text()
    assert read.body is not None
    with pytest.raises(TypeError):
        Response(read.body)


async def test_an_iterable_that_is_no_iterator_comes_out_as_its_iterator() -> None:
    class Iterable:
        def __aiter__(self) -> AsyncIterator[str]:
            return count(2)

    body = Response(Iterable()).take_body()
    assert not isinstance(body, bytes)
    assert body is not None
    assert [chunk async for chunk in body] == ["0", "1"]


async def test_iterating_a_stream() -> None:
    stream = ReadableStream(count(2))
    assert not stream.locked
    assert [chunk async for chunk in stream] == [b"0", b"1"]
    assert not stream.locked
    assert stream.disturbed
    assert [chunk async for chunk in stream] == []


async def test_a_lock_keeps_others_out() -> None:
    stream = ReadableStream(Source(b"a", b"b"))
    reader = stream.get_reader()
    assert stream.locked
    for use in (stream.get_reader, stream.tee, stream.__aiter__, lambda: Response(stream)):
        with pytest.raises(TypeError, match="locked"):
            use()
    with pytest.raises(TypeError, match="locked"):
        await stream.cancel()
    assert await reader.read() == (b"a", False)
    reader.release_lock()
    assert [chunk async for chunk in stream] == [b"b"]
    assert await reader.read() == (None, True)


async def test_cancel_and_aclose_close_the_source() -> None:
    one, two, three = Source(b"a"), Source(b"a"), Source(b"a", b"b")
    await ReadableStream(one).cancel("no interest")
    await ReadableStream(two).aclose()
    async with aclosing(ReadableStream(three)) as stream:
        async for _ in stream:
            break
    assert one.closed
    assert two.closed
    assert three.closed


async def test_a_generators_finally_runs_on_cancel() -> None:
    ended = False

    async def generate() -> AsyncIterator[bytes]:
        nonlocal ended
        try:
            yield b"a"
            yield b"b"
        finally:
            ended = True

    reader = ReadableStream(generate()).get_reader()
    await reader.read()
    await reader.cancel()
    assert ended


async def test_an_error_in_the_source_is_never_a_clean_end() -> None:
    async def generate() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("gone")

    stream = ReadableStream(generate())
    reader = stream.get_reader()
    assert (await reader.read()).value == b"a"
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await reader.read()


async def test_wrong_chunks_and_sources_are_named() -> None:
    async def numbers() -> AsyncIterator[Any]:
        yield 1

    with pytest.raises(TypeError, match="must be bytes or str, not int: 1"):
        await Response(numbers()).text()
    with pytest.raises(TypeError, match="needs an async iterator, not list"):
        ReadableStream([b"a"])  # type: ignore[arg-type]
    assert to_bytes("é") == b"\xc3\xa9"


async def test_a_reader_that_fails_closes_the_source() -> None:
    class Broken(Source):
        async def __anext__(self) -> bytes:
            raise OSError("gone")

    source = Broken()
    with pytest.raises(OSError, match="gone"):
        await Response(source).text()
    assert source.closed


async def test_clone_splits_a_stream() -> None:
    response = Response(count(3), status=201, headers={"a": "1"})
    clone = response.clone()
    assert (clone.status, clone.headers["a"]) == (201, "1")
    assert await asyncio.gather(response.text(), clone.text()) == ["012", "012"]
    text = Response("x")
    assert await text.clone().text() == await text.text() == "x"


async def test_one_branch_may_be_read_before_the_other() -> None:
    one, two = ReadableStream(count(100)).tee()
    assert len([c async for c in one]) == len([c async for c in two]) == 100


async def test_a_cancelled_reader_does_not_harm_the_other_branch() -> None:
    gate = asyncio.Event()

    async def generate() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"a"

    one, two = ReadableStream(generate()).tee()
    impatient = asyncio.create_task(Response(one).text())
    patient = asyncio.create_task(Response(two).text())
    await asyncio.sleep(0.01)
    impatient.cancel()
    await asyncio.wait([impatient])
    gate.set()
    assert impatient.cancelled()
    assert await patient == "a"


async def test_the_source_closes_with_the_last_branch() -> None:
    source = Source(b"a", b"b")
    one, two = ReadableStream(source).tee()
    await one.cancel()
    assert not source.closed
    await two.cancel()
    assert source.closed


async def test_tee_is_bounded() -> None:
    one, two = ReadableStream(Source(b"a" * 10, b"b" * 10, b"c" * 10)).tee(limit=15)
    with pytest.raises(TypeError, match="over 15 bytes wait"):
        await Response(one).bytes()
    await two.cancel()


def test_content_length_is_worked_out() -> None:
    assert (b"content-length", b"2") in Response("hi", headers={"content-length": "99"}).to_parts()[2]
    assert (b"content-length", b"99") in Response(None, headers={"content-length": "99"}).to_parts()[2]
    request = Request("http://a/", method="PUT", body=Source(), headers={"content-length": "5"})
    assert request.to_parts()[2] == []
    came = Request.from_parts("PUT", "http://a/", [(b"Content-Length", b"5")], Source())  # type: ignore[arg-type]
    assert came.to_parts()[2] == [(b"content-length", b"5")]


async def test_forms_travel_as_multipart() -> None:
    form = FormData({"a": "1"})
    response = Response(form)
    assert (response.headers["content-type"]).startswith("multipart/form-data; boundary=")
    assert (await response.form_data())["a"] == "1"
