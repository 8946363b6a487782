"""Request and fetch()."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime import web
from runtime.web import URL, AbortController, AbortError, AbortSignal, Headers, Request, Response


def incoming(**more: Any) -> Request:
    raw = [(b"Host", b"a"), (b"X-A", b"1")]
    return Request.from_parts("POST", "http://a/path?q=1", raw, **{"body": b"text", **more})


def test_defaults() -> None:
    request = Request("http://Example.com")
    assert (request.url, request.method, request.redirect) == ("http://example.com/", "GET", "follow")
    assert request.cf is None
    assert request.body is None
    assert not request.signal.aborted
    assert request.headers == Headers()
    assert repr(request) == "Request(method='GET', url='http://example.com/')"


def test_options_as_keywords_or_as_a_dict() -> None:
    init = {"method": "post", "headers": {"a": "1"}, "body": "x", "redirect": "manual", "duplex": "half"}
    one = Request("http://a/", init)
    two = Request(URL("http://a/"), method="post", headers={"a": "1"}, body="x", redirect="manual")
    for request in (one, two):
        assert (request.method, request.headers["a"], request.redirect) == ("POST", "1", "manual")
        assert request.headers["content-type"] == "text/plain;charset=UTF-8"
    assert Request("http://a/", {"method": "PUT"}, method="POST").method == "POST"


@pytest.mark.parametrize(
    ("given", "becomes"),
    [("get", "GET"), ("Delete", "DELETE"), ("patch", "PATCH"), ("lock", "lock"), ("QUERY", "QUERY")],
)
def test_methods(given: str, becomes: str) -> None:
    assert Request("http://a/", method=given).method == becomes


@pytest.mark.parametrize(
    ("resource", "options", "what"),
    [
        ("/relative", {}, "invalid URL"),
        ("http://u:p@a/", {}, "authorization header"),
        ("http://a/", {"method": "A B"}, "invalid"),
        ("http://a/", {"method": "trace"}, "'trace' is not allowed"),
        ("http://a/", {"body": "x"}, "GET request cannot have a body"),
        ("http://a/", {"method": "HEAD", "body": ""}, "HEAD request cannot have a body"),
        ("http://a/", {"redirect": "maybe"}, "redirect must be one of"),
        ("http://a/", {"signal": 5}, "must be an AbortSignal, not int"),
        ("http://a/", {"header": {}}, "unknown option 'header' of a Request; known: method, headers"),
        ("http://a/", {"method": "POST", "body": {"a": 1}}, "Response.json"),
    ],
)
def test_bad_requests(resource: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(TypeError, match=what):
        Request(resource, options)


async def test_a_request_from_the_wire() -> None:
    request = incoming()
    assert (request.method, request.url, request.redirect) == ("POST", "http://a/path?q=1", "manual")
    assert request.headers["x-a"] == "1"
    with pytest.raises(TypeError, match="cannot be changed"):
        request.headers.set("a", "1")
    assert await request.text() == "text"
    assert request.body_used


async def test_a_request_may_be_remade() -> None:
    request = incoming()
    again = Request(request, headers={"only": "this"})
    assert (again.method, again.redirect, again.url) == ("POST", "manual", request.url)
    assert again.headers.items() == [("only", "this")]
    assert request.body_used
    assert await again.text() == "text"
    moved = Request("http://b/", incoming())
    assert (moved.url, moved.method, moved.headers["x-a"]) == ("http://b/", "POST", "1")
    assert await moved.text() == "text"
    moved.headers.set("x-a", "2")
    with pytest.raises(TypeError, match="lready used"):
        Request(request)
    replaced = Request(incoming(), body="new")
    assert await replaced.text() == "new"


async def test_a_stream_moves_with_the_request() -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield b"a"

    source = upload()
    first = incoming(body=source)
    second = Request("http://b/", first)
    assert second.take_body() is source
    with pytest.raises(TypeError):
        await first.text()
    assert [c async for c in source] == [b"a"]


async def test_clone() -> None:
    request = incoming()
    clone = request.clone()
    clone.headers["x-a"] = "2"
    assert await clone.text() == await request.text() == "text"
    assert request.headers["x-a"] == "1"


def test_the_signal_is_inherited() -> None:
    request = incoming()
    copies = [request.clone(), Request(Request(incoming(), signal=request.signal))]
    assert {id(copy.signal) for copy in copies} == {id(request.signal)}
    assert request.signal.ambient


def test_a_copy_asks_first() -> None:
    request = incoming()
    copy = Request(request).clone()
    assert not request.watched
    assert copy.signal is request.signal
    request.left()
    assert copy.signal.aborted


@pytest.fixture
def transport() -> Any:
    """Installs what answers fetch() and takes it away again."""
    yield web.set_transport
    web.set_transport(None)


async def test_fetch_needs_a_transport() -> None:
    with pytest.raises(RuntimeError, match="while a worker serves"):
        await web.fetch("http://a/")


async def test_fetch(transport: Any) -> None:
    async def answer(request: Request) -> Response:
        return Response(f"{request.method} {request.url} {await request.text()}")

    transport(answer)
    assert await (await web.fetch("http://a")).text() == "GET http://a/ "
    assert await (await web.fetch("http://a", {"method": "PUT", "body": "x"})).text() == "PUT http://a/ x"
    assert await (await web.fetch(Request("http://a"), method="POST", body="y")).text() == "POST http://a/ y"


async def test_fetch_stops_for_its_signal(transport: Any) -> None:
    cancelled = asyncio.Event()

    async def answer(request: Request) -> Response:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()
        raise AssertionError

    transport(answer)
    with pytest.raises(TimeoutError):
        await web.fetch("http://a/", signal=AbortSignal.timeout(10))
    assert cancelled.is_set()
    with pytest.raises(AbortError):
        await web.fetch("http://a/", signal=AbortSignal.abort())


class Endless:
    """A body that sends one chunk, and then nothing."""

    def __init__(self) -> None:
        self.sent, self.closed = False, False

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        if self.sent:
            await asyncio.sleep(30)
        self.sent = True
        return b"tick"

    async def aclose(self) -> None:
        self.closed = True


async def test_a_signal_ends_the_body_too(transport: Any) -> None:
    source, controller = Endless(), AbortController()

    async def answer(request: Request) -> Response:
        return Response.from_parts(200, "", [], source)  # type: ignore[arg-type]

    transport(answer)
    response = await web.fetch("http://a/", signal=controller.signal)
    assert response.body is not None
    reader = response.body.get_reader()
    assert (await reader.read()).value == b"tick"
    asyncio.get_running_loop().call_later(0.01, controller.abort, KeyError("left"))
    with pytest.raises(KeyError, match="left"):
        await reader.read()
    assert source.closed


@pytest.mark.parametrize("ambient", [True, False])
async def test_a_watched_body_passes_through_the_worker(transport: Any, ambient: bool) -> None:
    source, controller = Endless(), AbortController()
    controller.signal.ambient = ambient

    async def answer(request: Request) -> Response:
        return Response.from_parts(200, "", [], source)  # type: ignore[arg-type]

    transport(answer)
    response = await web.fetch("http://a/", signal=controller.signal)
    body: Any = response.to_parts()[3]
    assert (body is source) == ambient
    assert await anext(body) == b"tick"
    await body.aclose()
    assert source.closed
