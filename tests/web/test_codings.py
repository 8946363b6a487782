"""Content codings: undone on reading, kept on passing, applied to what a worker labels."""

from __future__ import annotations

import gzip
import random
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest

from bodies_support import Source, count
from runtime.web import Response, codings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
from codings_support import PACK, UNPACK


def arrived(*chunks: bytes, coding: str = "gzip", **more: str) -> tuple[Response, Source]:
    source = Source(*chunks)
    headers = {"content-type": "text/html", "content-encoding": coding, **more}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Response.from_parts(200, "OK", raw, source), source  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", PACK)
async def test_a_fetched_body_is_decoded_when_read(coding: str) -> None:
    content = PACK[coding](b"text " * 1000)
    response, _ = arrived(content[:7], content[7:], coding=coding)
    assert await response.text() == "text " * 1000
    response, _ = arrived(content, coding=coding)
    assert response.body is not None
    assert b"".join([c async for c in response.body]) == b"text " * 1000


async def test_codings_as_they_occur() -> None:
    bare = zlib.compressobj(wbits=-15)
    response, _ = arrived(bare.compress(b"bare") + bare.flush(), coding="deflate")
    assert await response.text() == "bare"
    response, _ = arrived(gzip.compress(b"two ") + gzip.compress(b"members") + b"\0\0", coding="x-gzip")
    assert await response.text() == "two members"
    response, _ = arrived(b"plain", coding="identity")
    assert await response.text() == "plain"
    response, _ = arrived()
    assert await response.text() == ""
    response, _ = arrived(zstd.compress(b"two ") + zstd.compress(b"frames"), coding="zstd")
    assert await response.text() == "two frames"


@pytest.mark.parametrize("coding", PACK)
async def test_a_body_unpacks_in_pieces(coding: str) -> None:
    noise = random.Random(1).randbytes(100_000)
    for content in (bytes(3_000_000), noise * 10):
        packed = PACK[coding](content)
        for step in (len(packed), 70_000):
            response, _ = arrived(*(packed[at : at + step] for at in range(0, len(packed), step)), coding=coding)
            assert response.body is not None
            pieces = [c async for c in response.body]
            assert b"".join(pieces) == content
            assert max(map(len, pieces)) < 1_000_000


async def test_a_zstd_window_is_bounded() -> None:
    wide = zstd.compress(bytes(40_000_000), options={zstd.CompressionParameter.window_log: 27})
    response, _ = arrived(wide, coding="zstd")
    with pytest.raises(TypeError, match="not valid zstd"):
        await response.bytes()


@pytest.mark.parametrize(
    ("content", "coding", "error"),
    [
        (b"not gzip", "gzip", "not valid gzip"),
        (gzip.compress(b"cut" * 99, mtime=0)[:-9], "gzip", "ended before its end"),
        (b"not brotli, and not short either", "br", "not valid br"),
        (brotli.compress(b"cut" * 99)[:-4], "br", "ended before its end"),
        (b"not zstd", "zstd", "not valid zstd"),
        (zstd.compress(b"cut" * 99)[:-4], "zstd", "ended before its end"),
        (b"x", "compress", "compress-encoded, which cannot be decoded here"),
    ],
)
async def test_a_body_that_cannot_be_decoded(content: bytes, coding: str, error: str) -> None:
    response, source = arrived(content, coding=coding)
    with pytest.raises(TypeError, match=error):
        await response.text()
    assert source.closed


async def test_a_fetched_body_passes_through_as_it_came() -> None:
    content = gzip.compress(b"text")
    response, source = arrived(content, content_length=str(len(content)))
    again = Response(response.body, response)
    status, _, headers, body = again.to_parts()
    assert status == 200
    assert body is source
    assert not source.started
    assert dict(headers)[b"content-encoding"] == b"gzip"
    assert dict(headers)[b"content-length"] == str(len(content)).encode()


async def test_a_body_passed_on_without_its_coding_is_decoded() -> None:
    response, source = arrived(gzip.compress(b"text"), content_length="24")
    _, _, headers, body = Response(response.body).to_parts()
    assert not isinstance(body, bytes)
    assert body is not None
    assert b"content-length" not in dict(headers)
    assert b"".join([c async for c in body]) == b"text"
    assert b"content-encoding" not in dict(headers)
    response, source = arrived(gzip.compress(b"text"))
    body = Response(response.body).to_parts()[3]
    await body.aclose()  # type: ignore[union-attr]
    assert source.closed


@pytest.mark.parametrize("coding", PACK)
async def test_headers_copied_onto_another_body_stay_true(coding: str) -> None:
    response, _ = arrived(PACK[coding](b"text"), coding=coding, content_length="24")
    changed = Response((await response.text()).upper(), headers=response.headers)
    _, _, headers, body = changed.to_parts()
    assert isinstance(body, bytes)
    assert UNPACK[coding](body) == b"TEXT"
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
    streamed = Response(count(3), headers={"content-encoding": coding, "content-length": "99"})
    _, _, headers, body = streamed.to_parts()
    assert body is not None
    assert not isinstance(body, bytes)
    chunks = [chunk async for chunk in body]
    assert len(chunks) == 4  # each left as it came, then the trailer
    assert UNPACK[coding](b"".join(chunks)) == b"012"
    assert b"content-length" not in dict(headers)
    unlike = next(other for other in PACK if other != coding)
    response, _ = arrived(PACK[coding](b"text"), coding=coding)
    body = Response(response.body, headers={"content-encoding": unlike}).to_parts()[3]
    assert body is not None
    assert not isinstance(body, bytes)
    assert UNPACK[unlike](b"".join([chunk async for chunk in body])) == b"text"


@pytest.mark.parametrize(("header", "allowed"), [
    (None, True), ("br", True), ("gzip, BR;q=0.5", True), ("*", True), ("gzip;q=0, *", True), ("br;q=0.001", True),
    ("", False), ("gzip, deflate", False), ("br;q=0", False), ("br; q=0.000, *", False), ("*;q=0", False),
    ("identity", False), (";;,=,q", False),
])  # fmt: skip
def test_accept_encoding(header: str | None, allowed: bool) -> None:
    assert codings.accepts(header, "br") is allowed


async def test_a_reader_who_does_not_accept_the_coding_has_none() -> None:
    nothing: Callable[[str], bool] = lambda coding: False  # noqa: E731
    _, _, headers, body = Response("text", headers={"content-encoding": "br"}).to_parts(nothing)
    assert (body, dict(headers)[b"content-length"]) == (b"text", b"4")
    assert b"content-encoding" not in dict(headers)
    response, _ = arrived(brotli.compress(b"text"), coding="br", content_length="8")
    _, _, headers, body = Response(response.body, headers=response.headers).to_parts(nothing)
    assert body is not None
    assert not isinstance(body, bytes)
    assert b"".join([chunk async for chunk in body]) == b"text"
    assert {b"content-length", b"content-encoding"}.isdisjoint(dict(headers))
    mine = Response(b"as it is", headers={"content-encoding": "br"}, encode_body="manual")
    assert mine.to_parts(nothing)[3] == b"as it is"


async def test_encode_body_manual_leaves_bytes_alone() -> None:
    content = gzip.compress(b"text")
    response = Response(content, headers={"content-encoding": "gzip"}, encode_body="manual")
    assert response.to_parts()[3] == content
