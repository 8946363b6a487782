"""Outbound fetch against a real server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web as server

from runtime.supervisor.outbound import FetchError, Outbound, OutboundAnswer


class Upstream:
    """A server that tells what it was asked, and counts what it has to do with."""

    def __init__(self) -> None:
        self.url, self.left, self.peers = "", asyncio.Event(), set[Any]()

    async def echo(self, request: server.Request) -> server.Response:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        body = (await request.read()).decode("latin-1")
        headers = [(n.decode().lower(), v.decode("latin-1")) for n, v in request.raw_headers]
        answer = {"method": request.method, "path": request.raw_path, "headers": headers, "body": body}
        return server.json_response(answer)

    async def redirect(self, request: server.Request) -> server.Response:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        status = int(request.match_info["status"])
        if status != 303:
            await request.read()
        to = request.query.get("to", "/echo")
        return server.Response(status=status, headers={"location": to} if to != "none" else {})

    async def loop(self, request: server.Request) -> server.Response:
        left = int(request.match_info["n"])
        return server.Response(status=302, headers={"location": f"/loop/{left - 1}" if left > 1 else "/echo"})

    async def special(self, request: server.Request) -> server.Response:
        response = server.Response(body=gzip.compress(b"text"), reason="Very Fine")
        response.headers.extend({"content-encoding": "gzip", "connection": "x-hop"})
        response.headers.extend({"x-hop": "1", "x-end": "1"})
        response.headers.add("set-cookie", "a=1")
        response.headers.add("set-cookie", "b=2")
        return response

    async def forever(self, request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"tick\n")
                await asyncio.sleep(0.01)
        finally:
            self.left.set()

    async def duplex(self, request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk.upper())
        return response

    async def cut(self, request: server.Request) -> server.StreamResponse:
        response = server.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response

    async def slow(self, request: server.Request) -> server.Response:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        return server.Response()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream, app = Upstream(), server.Application()
    for path in ("echo", "special", "forever", "duplex", "cut", "slow"):
        app.router.add_route("*", "/" + path, getattr(upstream, path))
    app.router.add_route("*", "/redirect/{status}", upstream.redirect)
    app.router.add_route("*", "/loop/{n}", upstream.loop)
    runner = server.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield upstream
    await runner.cleanup()


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound()
    yield outbound
    await outbound.aclose()


async def content(answer: OutboundAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks])


async def asked(answer: OutboundAnswer) -> Any:
    return json.loads(await content(answer))


async def produce(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_what_is_sent(upstream: Upstream, outbound: Outbound) -> None:
    headers = [
        (b"Host", b"elsewhere"), (b"x-a", b"1"), (b"x-a", b"2"), (b"connection", b"x-private"),
        (b"x-private", b"1"), (b"te", b"trailers"), (b"x-utf8", "é".encode()), (b"content-length", b"999"),
        (b"CF-Connecting-IP", b"127.0.0.1"), (b"cf-ray", b"1"), (b"cf-visitor", b"{}"), (b"x-real-ip", b"127.0.0.1"),
    ]  # fmt: skip
    seen = await asked(await outbound.fetch("POST", upstream.url + "/echo?q=%2F#part", headers, b"hello"))
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/echo?q=%2F", "hello")
    sent = seen["headers"]
    assert sorted(sent) == sorted([
        ["host", upstream.url.removeprefix("http://")], ["x-a", "1"], ["x-a", "2"], ["x-utf8", "Ã©"],
        ["content-length", "5"], ["accept", "*/*"], ["accept-encoding", "gzip, deflate, br, zstd"],
        ["x-real-ip", "127.0.0.1"],
    ])  # fmt: skip


async def test_the_workers_own_accept_encoding_stays(upstream: Upstream, outbound: Outbound) -> None:
    headers = [(b"Accept-Encoding", b"br"), (b"accept", b"text/html")]
    sent = dict((await asked(await outbound.fetch("GET", upstream.url + "/echo", headers)))["headers"])
    assert (sent["accept-encoding"], sent["accept"]) == ("br", "text/html")
    assert "content-length" not in sent


async def test_what_comes_back_is_raw(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/special", [])
    assert (answer.status, answer.status_text) == (200, "Very Fine")
    assert (answer.url, answer.redirected) == (upstream.url + "/special", False)
    assert gzip.decompress(await content(answer)) == b"text"
    headers = dict(answer.headers)
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"x-end"] == b"1"
    assert b"content-length" in headers
    assert {b"connection", b"x-hop", b"transfer-encoding"}.isdisjoint(headers)
    assert [v for n, v in answer.headers if n == b"set-cookie"] == [b"a=1", b"b=2"]
    again = await asked(await outbound.fetch("GET", upstream.url + "/echo", []))
    assert "cookie" not in dict(again["headers"])


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
async def test_bodies_of_any_size(upstream: Upstream, outbound: Outbound, size: int) -> None:
    for body in (b"x" * size, produce(b"x" * size)):
        answer = await outbound.fetch("POST", upstream.url + "/duplex", [], body)
        assert await content(answer) == b"X" * size


async def test_a_streams_length_is_the_workers_word(upstream: Upstream, outbound: Outbound) -> None:
    url, headers = upstream.url + "/echo", [(b"content-length", b"4")]
    told = await asked(await outbound.fetch("PUT", url, headers, produce(b"ab", b"cd")))
    assert ["content-length", "4"] in told["headers"]
    untold = await asked(await outbound.fetch("PUT", url, [], produce(b"ab")))
    assert ["transfer-encoding", "chunked"] in untold["headers"]


async def test_streams_both_ways_at_once(upstream: Upstream, outbound: Outbound) -> None:
    heard = asyncio.Queue[bytes]()

    async def talk() -> AsyncIterator[bytes]:
        yield b"one"
        assert await heard.get() == b"ONE"
        yield b"two"
        assert await heard.get() == b"TWO"

    answer = await outbound.fetch("POST", upstream.url + "/duplex", [], talk())
    async for chunk in answer.chunks:
        heard.put_nowait(chunk)
    assert heard.empty()


async def test_connections_are_reused(upstream: Upstream, outbound: Outbound) -> None:
    for _ in range(3):
        await content(await outbound.fetch("GET", upstream.url + "/echo", []))
    assert len(upstream.peers) == 1


async def test_closing_chunks_closes_the_connection_at_once(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/forever", [])
    assert await anext(answer.chunks) == b"tick\n"
    await answer.chunks.aclose()
    await asyncio.wait_for(upstream.left.wait(), 20)


async def test_closing_chunks_that_nobody_read(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/forever", [])
    await answer.chunks.aclose()
    await asyncio.wait_for(upstream.left.wait(), 20)


async def ticking(closed: asyncio.Event) -> AsyncIterator[bytes]:
    """Until it is closed."""
    try:
        while True:
            yield b"tick"
            await asyncio.sleep(0.01)
    finally:
        closed.set()


async def test_closing_chunks_closes_the_upload(upstream: Upstream, outbound: Outbound) -> None:
    closed = asyncio.Event()
    answer = await outbound.fetch("POST", upstream.url + "/duplex", [], ticking(closed))
    assert await anext(answer.chunks)
    await answer.chunks.aclose()
    await asyncio.wait_for(closed.wait(), 20)


async def test_cancelling_a_fetch_lets_go(upstream: Upstream, outbound: Outbound) -> None:
    asking = asyncio.create_task(outbound.fetch("GET", upstream.url + "/slow", []))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (301, "PUT", "PUT"), (303, "POST", "GET"),
        (303, "PUT", "GET"), (303, "HEAD", "HEAD"), (307, "POST", "POST"), (308, "PUT", "PUT"),
        (302, "GET", "GET"),
    ],
)  # fmt: skip
async def test_redirects(upstream: Upstream, outbound: Outbound, status: int, method: str, then: str) -> None:
    body = b"hello" if method in ("POST", "PUT") else None
    headers = [(b"content-type", b"text/plain"), (b"authorization", b"me"), (b"x-a", b"1")]
    answer = await outbound.fetch(method, f"{upstream.url}/redirect/{status}", headers, body)
    assert (answer.status, answer.redirected, answer.url) == (200, True, upstream.url + "/echo")
    if then == "HEAD":
        assert await content(answer) == b""
        return
    seen = await asked(answer)
    kept = method == then
    assert (seen["method"], seen["body"]) == (then, "hello" if kept and body else "")
    assert len(upstream.peers) == 1
    sent = dict(seen["headers"])
    assert ("content-type" in sent) == kept
    assert (sent["authorization"], sent["x-a"]) == ("me", "1")


async def test_secrets_do_not_follow_to_another_origin(upstream: Upstream, outbound: Outbound) -> None:
    other = upstream.url.replace("127.0.0.1", "localhost") + "/echo"
    headers = [(b"authorization", b"me"), (b"cookie", b"a=1"), (b"x-a", b"1")]
    answer = await outbound.fetch("GET", f"{upstream.url}/redirect/302?to={other}", headers)
    sent = dict((await asked(answer))["headers"])
    assert answer.url == other
    assert sent["x-a"] == "1"
    assert "authorization" not in sent
    assert "cookie" not in sent


async def test_redirect_manual_and_error(upstream: Upstream, outbound: Outbound) -> None:
    url = upstream.url + "/redirect/302"
    answer = await outbound.fetch("GET", url, [], redirect="manual")
    assert (answer.status, dict(answer.headers)[b"location"], answer.redirected) == (302, b"/echo", False)
    await answer.chunks.aclose()
    with pytest.raises(FetchError, match="redirect is 'error'"):
        await outbound.fetch("GET", url, [], redirect="error")


async def test_a_redirect_without_location_is_an_answer(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/redirect/302?to=none", [])
    assert answer.status == 302
    assert await content(answer) == b""


async def test_twenty_redirects_and_no_more(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/loop/20", [])
    assert answer.status == 200
    await answer.chunks.aclose()
    with pytest.raises(FetchError, match="more than 20 redirects"):
        await outbound.fetch("GET", upstream.url + "/loop/21", [])


@pytest.mark.parametrize("status", [307, 308, 302])
async def test_a_stream_cannot_be_sent_twice(upstream: Upstream, outbound: Outbound, status: int) -> None:
    with pytest.raises(TypeError, match="streamed body cannot be sent twice; send bytes"):
        await outbound.fetch("POST", f"{upstream.url}/redirect/{status}", [], produce(b"a"))


async def test_a_streamed_body_may_end_in_303(upstream: Upstream, outbound: Outbound) -> None:
    closed = asyncio.Event()
    answer = await outbound.fetch("POST", upstream.url + "/redirect/303", [], ticking(closed))
    assert (await asked(answer))["method"] == "GET"
    await asyncio.wait_for(closed.wait(), 20)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("ftp://example.com/", "ftp: is not supported; use http: or https:"),
        ("file:///etc/passwd", "file: is not supported"),
        ("nonsense", "not a URL"),
        ("http://u:p@127.0.0.1/", "password is refused"),
        ("http://127.0.0.1:1/", "127.0.0.1:1 failed: Connect"),
        ("http://no-such-host.invalid/", "no-such-host.invalid failed: no such host"),
    ],
)
async def test_what_cannot_be_asked(outbound: Outbound, url: str, cause: str) -> None:
    body = produce(b"never sent")
    with pytest.raises(FetchError) as caught:
        await outbound.fetch("POST", url, [], body)
    assert cause in str(caught.value)
    assert [chunk async for chunk in body] == []  # closed


@pytest.mark.parametrize("to", ["ftp://a/", "http://", "http://u:p@a/"])
async def test_redirects_to_what_cannot_be_asked(upstream: Upstream, outbound: Outbound, to: str) -> None:
    with pytest.raises(FetchError):
        await outbound.fetch("GET", f"{upstream.url}/redirect/302?to={to}", [])


async def test_an_answer_that_is_cut_is_an_error(upstream: Upstream, outbound: Outbound) -> None:
    answer = await outbound.fetch("GET", upstream.url + "/cut", [])
    with pytest.raises(FetchError, match="ended before its end"):
        await content(answer)


async def test_timeouts(upstream: Upstream) -> None:
    outbound = Outbound(idle=0.2)
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"no answer within 0\.1 s"):
        await outbound.fetch("GET", upstream.url + "/slow", [], timeout=0.1)
    with pytest.raises(FetchError, match="it sends nothing"):
        await outbound.fetch("GET", upstream.url + "/slow", [])
    assert time.monotonic() - started < 10
    answer = await outbound.fetch("GET", upstream.url + "/forever", [], timeout=20)
    for _ in range(30):
        await anext(answer.chunks)
    await answer.chunks.aclose()
    await outbound.aclose()


async def test_an_upload_that_fails_is_an_error(upstream: Upstream, outbound: Outbound) -> None:
    async def talk() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("the disk is gone")

    with pytest.raises(FetchError):
        await outbound.fetch("POST", upstream.url + "/echo", [], talk())


async def test_bad_headers_are_refused(upstream: Upstream, outbound: Outbound) -> None:
    with pytest.raises(FetchError):
        await outbound.fetch("GET", upstream.url + "/echo", [(b"x", b"a\r\nevil: 1")])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_addresses_can_be_refused(upstream: Upstream, host: str) -> None:
    seen: list[Any] = []

    def allow(address: Any) -> bool:
        seen.append(address)
        return not address.is_loopback

    outbound = Outbound(allow=allow)
    with pytest.raises(FetchError, match="not allowed"):
        await outbound.fetch("GET", upstream.url.replace("127.0.0.1", host) + "/echo", [])
    await outbound.aclose()
    assert ipaddress.ip_address("127.0.0.1") in seen
    open_to_all = Outbound(allow=lambda address: True)
    assert (await open_to_all.fetch("HEAD", upstream.url + "/echo", [])).status == 200
    await open_to_all.aclose()


def test_nothing_is_imported_before_the_first_fetch() -> None:
    code = "import sys, runtime.supervisor.outbound as o; o.Outbound(); sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
