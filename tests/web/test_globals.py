"""Text, patterns, clones and transforming streams."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from runtime.web import ReadableStream
from runtime.web.globals.clone import DataCloneError, structuredClone
from runtime.web.globals.compression import CompressionStream, DecompressionStream, TextDecoderStream, TextEncoderStream
from runtime.web.globals.pattern import URLPattern
from runtime.web.globals.piping import FixedLengthStream, TransformStream, WritableStream, from_source
from runtime.web.globals.text import TextDecoder, TextEncoder, atob, btoa


def test_text_is_encoded_and_decoded() -> None:
    assert TextEncoder().encode("é\ud800") == b"\xc3\xa9\xef\xbf\xbd"
    assert TextDecoder().decode(b"\xef\xbb\xbfhi\xff") == "hi\ufffd"
    assert TextDecoder(ignoreBOM=True).decode(b"\xef\xbb\xbfhi") == "\ufeffhi"
    assert TextDecoder("latin1").decode(b"\x80") == "€"
    assert (TextDecoder("UTF-16").encoding, TextDecoder("latin1").encoding) == ("utf-16le", "windows-1252")
    decoder = TextDecoder()
    assert decoder.decode(b"\xe2\x82", stream=True) + decoder.decode(b"\xac", stream=True) + decoder.decode() == "€"
    with pytest.raises(TypeError, match="not valid for encoding utf-8"):
        TextDecoder(fatal=True).decode(b"\xff")
    with pytest.raises(TypeError, match="not valid for encoding utf-8"):
        TextDecoder("utf-8", {"fatal": True}).decode(b"\xff")
    assert TextDecoder("utf-8", {"ignoreBOM": True}).decode(b"\xef\xbb\xbfhi", {"stream": True}) == "\ufeffhi"
    with pytest.raises(ValueError, match='RangeError: "nope"'):
        TextDecoder("nope")


def test_base64() -> None:
    assert atob(" aG k\n") == atob("aGk=") == "hi"
    assert btoa("\xff") == "/w=="
    for wrong in ("a", "a===", "ab=c", "é", "aGk=="):
        with pytest.raises(ValueError, match="InvalidCharacterError"):
            atob(wrong)
    with pytest.raises(ValueError, match="operate on characters in the Latin1"):
        btoa("€")


def test_patterns() -> None:
    pattern = URLPattern("/books/:id", "https://example.com")
    found = pattern.exec("https://example.com/books/7?x")
    assert found is not None
    assert found["pathname"] == {"input": "/books/7", "groups": {"id": "7"}}
    assert not pattern.test("https://example.org/books/7")
    assert not pattern.test("no url")
    assert URLPattern({"pathname": "/A"}, ignoreCase=True).test({"pathname": "/a"})
    assert URLPattern(hostname="*.example.com").test("https://a.example.com/")
    assert URLPattern(pathname="/:n(\\d+)").hasRegExpGroups
    with pytest.raises(TypeError, match="URLPattern"):
        URLPattern("/relative")


def test_clones() -> None:
    shared: list[Any] = [1, bytearray(b"x")]
    value = {"a": shared, "b": shared, "c": {1}, "d": datetime(2026, 1, 1), "e": memoryview(b"y")}
    value["self"] = value
    copy = structuredClone(value)
    assert copy["self"] is copy
    assert copy["a"] is copy["b"]
    assert copy["a"] is not shared
    assert (copy["c"], copy["d"], copy["e"]) == ({1}, value["d"], b"y")
    with pytest.raises(DataCloneError, match="could not be cloned"):
        structuredClone({"a": lambda: 1})


async def chunks(*parts: bytes | str) -> AsyncIterator[bytes | str]:
    for part in parts:
        yield part


async def whole(stream: Any) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def test_a_stream_is_transformed_on_its_way() -> None:
    def transform(chunk: bytes, controller: Any) -> None:
        controller.enqueue(chunk.upper())
        controller.enqueue(b"-")

    upper = TransformStream(transform=transform, flush=lambda controller: controller.enqueue(b"!"))
    assert await whole(ReadableStream(chunks("a", "b")).pipe_through(upper)) == b"A-B-!"
    assert await whole(ReadableStream(chunks("a", "b")).pipeThrough(TransformStream())) == b"ab"


async def test_compression_both_ways() -> None:
    data = b"x" * 1_000_000
    for form, undo in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        packed = await whole(ReadableStream(chunks(data, b"end")).pipe_through(CompressionStream(form)))
        assert len(packed) < 10_000
        assert undo(packed) == data + b"end"
        halves = chunks(packed[:100], packed[100:])
        assert await whole(ReadableStream(halves).pipe_through(DecompressionStream(form))) == data + b"end"
    for broken in (b"no gzip", gzip.compress(b"x")[:-3]):
        with pytest.raises(TypeError):
            await whole(ReadableStream(chunks(broken)).pipe_through(DecompressionStream("gzip")))
    with pytest.raises(TypeError, match="compression format"):
        CompressionStream("zip")


async def test_text_streams() -> None:
    decoded = ReadableStream(chunks(b"\x80")).pipe_through(TextDecoderStream("latin1"))
    assert await whole(decoded.pipe_through(TextEncoderStream())) == "€".encode()


async def test_a_slow_reader_holds_the_writer_up_and_one_that_leaves_ends_it() -> None:
    written = 0

    async def many() -> AsyncIterator[bytes]:
        nonlocal written
        for _ in range(10_000):
            written += 1
            yield b"x"

    through = ReadableStream(many()).pipe_through(TransformStream())
    reader = through.get_reader()
    await reader.read()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert written < 50
    await reader.cancel()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert written < 50


async def test_pipes_end_with_what_ends_them() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("the source broke")

    taken: list[Any] = []
    sink = WritableStream(write=lambda chunk: taken.append(chunk), close=lambda: taken.append("closed"))
    await ReadableStream(chunks("a")).pipe_to(sink)
    assert taken == [b"a", "closed"]
    aborted: list[Any] = []
    with pytest.raises(ValueError, match="the source broke"):
        await ReadableStream(breaks()).pipe_to(WritableStream({"abort": aborted.append}))
    assert len(aborted) == 1
    with pytest.raises(ValueError, match="the source broke"):
        await whole(ReadableStream(breaks()).pipe_through(TransformStream()))
    with pytest.raises(TypeError, match="all expected bytes"):
        await whole(ReadableStream(chunks("a")).pipe_through(FixedLengthStream(2)))


async def test_a_writer_and_an_underlying_source() -> None:
    stream = TransformStream()
    writer = stream.writable.getWriter()
    with pytest.raises(TypeError, match="locked"):
        stream.writable.getWriter()
    await writer.write("a")
    await writer.close()
    with pytest.raises(TypeError, match="closed"):
        await writer.write("b")
    assert await whole(stream.readable) == b"a"
    count = iter(range(3))

    def pull(controller: Any) -> None:
        number = next(count, None)
        controller.close() if number is None else controller.enqueue(str(number))

    assert await whole(from_source({"start": lambda controller: controller.enqueue("s"), "pull": pull})) == b"s012"
