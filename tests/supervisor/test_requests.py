"""What a worker is told of a request, and what becomes of one that is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from families import family_bytes
from serving import ROUTER, Served, connect, raw, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + """
import asyncio
from workers import Request, Response

def told(request):
    headers = [[name, value] for name, value in request.headers.items()]
    url = URL(request.url)
    return Response.json({"method": request.method, "url": request.url, "headers": headers, "path": url.pathname,
                          "query": list(url.searchParams.items()), "body": request.body is not None})

async def text(request): return Response(await request.text())
async def data(request): return Response.json(await request.json())
async def raw(request): return Response(await request.bytes())
async def size(request): return Response(str(len(await request.bytes())))
async def form(request):
    form, answer = await request.form_data(), []
    for name, value in form.items():
        if isinstance(value, str): answer.append([name, value])
        else: answer.append([name, value.name, value.type, value.size, (await value.bytes())[:20].decode("latin-1")])
    return Response.json(answer)

async def twice(request):
    before = request.body_used
    await request.text()
    try: await request.text()
    except TypeError as error: return Response.json([before, request.body_used, str(error)])
async def cloned(request):
    copy = request.clone()
    return Response.json([await request.text(), await copy.text(), request.body_used])
async def copied(request):
    return Response(await Request(request, headers={"x-a": "b"}).text())
def edge(request):
    cf, again = request.cf, Request(request)
    assert again.cf is not None and again.headers["cf-ray"] == request.headers["cf-ray"]
    return Response.json({"cf": cf, "city": cf.city, "rays": [request.headers.get("cf-ray") for _ in "ab"]})
def frozen(request): request.headers["x"] = "y"

def passed(request): return Response(request.body)
def echo(request):
    async def chunks():
        async for chunk in request.body: yield chunk
    return Response(chunks())
async def counted(request):
    total = 0
    async for chunk in request.body: total += len(chunk)
    return Response(str(total))
async def first(request):
    async for chunk in request.body: return Response(chunk)
def unread(): return Response("unread")
def forgiving(request):
    async def answer():
        try: return Response(await request.text())
        except Exception as error: return Response(type(error).__name__, status=202)
    return answer()
async def waits(request):
    await asyncio.sleep(0.2)
    return Response(request.url.partition("?")[2])
async def left(request):
    request.signal.add_event_listener("abort", lambda event: print("aborted"))
    try: await asyncio.sleep(30)
    finally: print("cancelled")
"""
)


async def started(folder: Path, config: str = "") -> AsyncIterator[Served]:
    write(folder, WORKER, config)
    async with serving(folder) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async for served in started(tmp_path_factory.mktemp("requests")):
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async for served in started(tmp_path_factory.mktemp("narrow"), "[pilot]\nbody_limit = 100_000\n"):
        yield served


async def told(pilot: Served, target: str, head: str = "host: example.com\r\n", method: str = "GET") -> Any:
    """What the worker was told, for a request that no client library has mended."""
    request = f"{method} {target} HTTP/1.1\r\n{head}connection: close\r\n\r\n"
    answer = await raw(pilot, request.encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_the_url(pilot: Served) -> None:
    found = await told(pilot, "/told/a%20b%2Fc/%E2%9C%93?q=a+b&q=%26&empty=&=x", "host: example.com:81\r\n")
    assert found["url"] == "http://example.com:81/told/a%20b%2Fc/%E2%9C%93?q=a+b&q=%26&empty=&=x"
    assert found["path"] == "/told/a%20b%2Fc/%E2%9C%93"
    assert found["query"] == [["q", "a b"], ["q", "&"], ["empty", ""], ["", "x"]]
    assert (await told(pilot, "/told//b/?"))["path"] == "/told//b/"
    assert (await told(pilot, "/told", "host: [::1]:8787\r\n"))["url"] == "http://[::1]:8787/told"
    assert (await told(pilot, "http://other.example/told"))["path"] == "/told"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT", "QUERY"])
async def test_the_method(pilot: Served, method: str) -> None:
    found = await told(pilot, "/told", "host: a\r\ncontent-length: 0\r\n", method)
    assert (found["method"], found["body"]) == (method, False)


async def test_headers(pilot: Served) -> None:
    head = "Host: a\r\nX-A: one\r\nx-a: two\r\nX-Name: caf\xe9\r\nX-Empty:\r\nX-Tab: a\tb\r\nCookie: a=b; c=d\r\n"
    headers = dict((await told(pilot, "/told", head))["headers"])
    assert re.fullmatch(r"[0-9a-f]{16}-[A-Z]{3}", headers.pop("cf-ray"))
    assert headers == {
        "cf-connecting-ip": "127.0.0.1", "cf-visitor": '{"scheme":"http"}', "x-forwarded-proto": "http",
        "x-real-ip": "127.0.0.1", "host": "a", "x-a": "one, two", "x-name": "caf\xe9", "x-empty": "", "x-tab": "a\tb",
        "cookie": "a=b; c=d", "connection": "close",
    }  # fmt: skip
    status, text = await pilot.ask("/frozen")
    assert (status, "cannot be changed" in text) == (500, True)


async def test_what_cloudflares_edge_tells(pilot: Served) -> None:
    answers = [await pilot.ask("/edge", headers={"accept-encoding": "gzip, br"}) for _ in range(2)]
    first, second = (json.loads(text) for _, text in answers)
    assert len(set(first["rays"])) == 1
    assert first["rays"] != second["rays"]
    cf = first["cf"]
    assert (cf["httpProtocol"], cf["clientAcceptEncoding"], cf["tlsVersion"]) == ("HTTP/1.1", "gzip, br", "")
    assert first["city"] == cf["city"]
    assert {"colo", "country", "continent", "region", "timezone", "asn", "latitude", "tlsClientAuth"} <= set(cf)
    old = await raw(pilot, b"GET /edge HTTP/1.0\r\n\r\n")
    assert json.loads(old.partition(b"\r\n\r\n")[2])["cf"]["httpProtocol"] == "HTTP/1.0"


async def test_nobody_can_forge_what_the_edge_tells(pilot: Served) -> None:
    forged = ("CF-Connecting-IP: 6.6.6.6\r\ncf-connecting-ip: 7.7.7.7\r\nx-real-ip: 6.6.6.6\r\ncf-ray: 1-X\r\n"
              "cf-visitor: x\r\n")  # fmt: skip
    found = await told(pilot, "/told", "host: a\r\n" + forged)
    headers = dict(found["headers"])
    assert (headers["cf-connecting-ip"], headers["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (headers["cf-visitor"], headers["x-forwarded-proto"]) == ('{"scheme":"http"}', "http")
    assert len(headers["cf-ray"]) == 20
    assert found["url"] == "http://a/told"
    tunnel = "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\nx-forwarded-proto: https\r\n"  # of this machine: it is believed
    found = await told(pilot, "/told", "host: a\r\n" + forged + tunnel)
    assert dict(found["headers"])["cf-connecting-ip"] == "203.0.113.9"
    assert (found["url"], dict(found["headers"])["x-forwarded-proto"]) == ("https://a/told", "https")


async def test_bodies(pilot: Served) -> None:
    for text in ("", "héllo", "x" * 70_000, "é" * 1_000_000):
        assert await pilot.ask("/text", "POST", data=BytesIO(text.encode())) == (200, text)
    assert await pilot.ask("/data", "POST", data='{"a": [1, "é"]}'.encode()) == (200, '{"a":[1,"é"]}')
    async with pilot.http.post(f"{pilot.url}/raw", data=bytes(range(256))) as response:
        assert await response.read() == bytes(range(256))
    status, text = await pilot.ask("/data", "POST", data=b"{")
    assert (status, "JSONDecodeError" in text) == (500, True)
    assert await pilot.ask("/text", "GET") == (200, "")
    assert await pilot.ask("/text", "DELETE", data=b"of a DELETE") == (200, "of a DELETE")


async def test_forms(pilot: Served) -> None:
    form = aiohttp.FormData({"name": "wert & co", "n": "1"})
    assert json.loads((await pilot.ask("/form", "POST", data=form))[1]) == [["name", "wert & co"], ["n", "1"]]
    form = aiohttp.FormData({"text": "héllo"}, quote_fields=False)
    form.add_field("file", b"\x00\xff" * 100_000, filename="naïve.bin", content_type="application/x-thing")
    form.add_field("file", b"", filename="empty.txt", content_type="text/plain")
    answer = json.loads((await pilot.ask("/form", "POST", data=form))[1])
    assert answer[0] == ["text", "héllo"]
    assert answer[1] == ["file", "naïve.bin", "application/x-thing", 200_000, "\x00\xff" * 10]
    assert answer[2] == ["file", "empty.txt", "text/plain", 0, ""]
    status, text = await pilot.ask("/form", "POST", data=b"text")
    assert (status, "form_data() needs a multipart/form-data" in text) == (500, True)


async def test_a_body_is_read_once(pilot: Served) -> None:
    for text in ("short", "x" * 100_000):
        before, after, error = json.loads((await pilot.ask("/twice", "POST", data=text))[1])
        assert (before, after, "read only once; call clone()" in error) == (False, True, True)
        assert json.loads((await pilot.ask("/cloned", "POST", data=text))[1]) == [text, text, True]
        assert await pilot.ask("/copied", "POST", data=text) == (200, text)


async def pieces(count: int, size: int = 65536) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


def memory(pilot: Served) -> int:
    return family_bytes(pilot.process.pid)


@pytest.mark.parametrize("path", ["passed", "echo"])
async def test_fifty_megabytes_stream_through(pilot: Served, path: str) -> None:
    count, received, before, most = 800, 0, memory(pilot), 0
    async with pilot.http.post(f"{pilot.url}/{path}", data=pieces(count)) as response:
        async for chunk in response.content.iter_chunked(1 << 20):
            assert chunk[0] == received // 65536 % 256
            received += len(chunk)
            most = max(most, memory(pilot)) if received % (1 << 23) < (1 << 20) else most
    assert received == count * 65536
    assert most - before < 40e6, "it is not kept"


async def test_a_chunk_arrives_when_it_is_sent(pilot: Served) -> None:
    """The answer to the first while the second is still to come: both ways at once."""
    for path in ("passed", "echo"):
        reader, writer = await connect(pilot)
        writer.write(b"POST /%s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode())
        async with asyncio.timeout(30):
            for chunk in (b"one", b"two"):
                writer.write(b"3\r\n" + chunk + b"\r\n")
                assert (await reader.readuntil(chunk)).endswith(chunk)
            writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()


async def test_fields_behind_a_body_are_no_headers(pilot: Served) -> None:
    """A client could say there who it is, after what it may not say has been dropped."""
    head = b"POST /told HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    fields = b"cf-connecting-ip: 6.6.6.6\r\nauthorization: Bearer x\r\nhost: b\r\n\r\n"
    follow = b"GET /told HTTP/1.1\r\nhost: c\r\nx-own: d\r\nconnection: close\r\n\r\n"
    answer = await raw(pilot, head + b"2\r\nhi\r\n0\r\n" + fields + follow)
    first, second = (dict(json.loads(found)["headers"]) for found in re.findall(rb'{"method".*}', answer))
    assert (first["cf-connecting-ip"], first["host"], "authorization" in first) == ("127.0.0.1", "a", False)
    assert (second["host"], second["x-own"]) == ("c", "d")


async def test_a_body_need_not_be_read(pilot: Served) -> None:
    """The next request on the same connection is served all the same."""
    follow = b"GET /text HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    for path in (b"unread", b"first"):
        for head, body in (
            (b"content-length: 1000000", b"x" * 1_000_000),
            (b"transfer-encoding: chunked", b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n0\r\n\r\n"),
        ):
            answer = await raw(pilot, b"POST /%s HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n%s%s" % (path, head, body, follow))
            assert answer.count(b"HTTP/1.1 200") == 2, (path, head, answer[:300])


async def test_a_client_that_leaves_while_it_sends(pilot: Served) -> None:
    since = len(pilot.events)
    for path in (b"text", b"counted", b"echo", b"passed", b"waits"):
        for head in (b"content-length: 1000", b"content-length: 100000", b"transfer-encoding: chunked"):
            _, writer = await connect(pilot)
            writer.write(b"POST /%s HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n3\r\n" % (path, head))
            await asyncio.sleep(0.02)
            writer.close()
    assert await pilot.ask("/text", "POST", data=b"after") == (200, "after")
    assert not [line for line in pilot.events[since:] if line["event"] in ("fault", "script_error")], pilot.log()


async def test_a_client_that_leaves_ends_the_handler(pilot: Served) -> None:
    _, writer = await connect(pilot)
    writer.write(b"GET /left HTTP/1.1\r\nhost: a\r\n\r\n")
    await asyncio.sleep(0.2)
    writer.close()
    await pilot.event("output", text="cancelled", within=20)
    await pilot.event("output", text="aborted", within=20)
    await pilot.event("request", path="/left", note="client left", within=20)


async def test_bodies_over_the_limit(narrow: Served) -> None:
    at, over = b"x" * 100_000, b"x" * 100_001
    for path in ("size", "counted", "passed", "unread"):
        async with narrow.http.post(f"{narrow.url}/{path}", data=over) as response:
            text = await response.text()
            assert (response.status, "body_limit" in text) == (413, True), (path, text)
        async with narrow.http.post(f"{narrow.url}/{path}", data=at) as response:
            assert response.status == 200
    for path in ("size", "counted"):
        async with narrow.http.post(f"{narrow.url}/{path}", data=pieces(4)) as response:
            text = await response.text()
            assert (response.status, "body_limit" in text) == (413, True), (path, text)
    assert (await narrow.ask("/forgiving", "POST", data=pieces(4)))[0] == 202, "the worker has an answer of its own"
    async with narrow.http.post(f"{narrow.url}/passed", data=pieces(4)) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert await narrow.ask("/size", "POST", data=b"1234") == (200, "4")


async def test_expect_100_continue(narrow: Served) -> None:
    reader, writer = await connect(narrow)
    head = b"POST /text HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    async with asyncio.timeout(30):
        writer.write(head % 4)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"four")
        assert await reader.readuntil(b"four")
    writer.close()
    reader, writer = await connect(narrow)
    async with asyncio.timeout(30):
        writer.write(head % 4_000_000)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413"), "before the body is sent"
    writer.close()


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /text\r\n\r\n",
    "a version that is none": b"GET /text HTTP/9.9\r\nhost: a\r\n\r\n",
    "a header without a colon": b"GET /text HTTP/1.1\r\nhost: a\r\nnonsense\r\n\r\n",
    "a header with a space": b"GET /text HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
    "a header of control characters": b"GET /text HTTP/1.1\r\nhost: a\r\nx: \x01\x00\r\n\r\n",
    "a length that is no number": b"POST /text HTTP/1.1\r\nhost: a\r\ncontent-length: four\r\n\r\nfour",
    "a negative length": b"POST /text HTTP/1.1\r\nhost: a\r\ncontent-length: -4\r\n\r\nfour",
    "two lengths": b"POST /text HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfour",
    "a length and chunks":
        b"POST /text HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /text HTTP/1.1\r\nhost: a\r\ntransfer-encoding: nonsense\r\n\r\n0\r\n\r\n",
    "no host": b"GET /text HTTP/1.1\r\n\r\n",
    "an empty host": b"GET /text HTTP/1.1\r\nhost:\r\n\r\n",
    "two hosts": b"GET /text HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a host with a path": b"GET /text HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "a host with a user": b"GET /text HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "a host with a space": b"GET /text HTTP/1.1\r\nhost: a b\r\n\r\n",
    "a method that is not ASCII": b"G\xc3\x89T /text HTTP/1.1\r\nhost: a\r\n\r\n",
    "a control character in the path": b"GET /t\x7f\xe9 HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n",
    "CONNECT to a path": b"CONNECT /text HTTP/1.1\r\nhost: a\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_requests_are_refused(pilot: Served, case: str) -> None:
    answer = await raw(pilot, MALFORMED[case], end=True)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert answer.count(b"HTTP/1.1") == 1, answer
    assert await pilot.ask("/text") == (200, "")


async def test_a_malformed_chunk_ends_the_request(pilot: Served) -> None:
    for path in (b"text", b"counted", b"echo"):
        head = b"POST /%s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % path
        answer = await raw(pilot, head + b"3\r\none\r\nnonsense\r\n", end=True)
        assert not answer.endswith(b"0\r\n\r\n"), answer
    assert await pilot.ask("/text") == (200, "")


async def test_large_heads(pilot: Served) -> None:
    long = "x" * 60_000
    assert dict((await told(pilot, "/told", f"host: a\r\nx-long: {long}\r\n"))["headers"])["x-long"] == long
    assert (await told(pilot, f"/told?{'q' * 16_000}"))["url"].endswith("q" * 16_000)
    many = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(200))
    answer = await raw(pilot, b"GET /told HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + many + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431"), answer[:300]


async def test_http_1_0(pilot: Served) -> None:
    answer = await raw(pilot, b"GET /told HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["url"] == f"{pilot.url}/told"


async def test_keep_alive_and_pipelining(pilot: Served) -> None:
    ask = b"GET /waits?%d HTTP/1.1\r\nhost: a\r\n\r\n"
    last = b"POST /text HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlast"
    answer = await raw(pilot, b"".join(ask % number for number in range(5)) + last)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"0", b"1", b"2", b"3", b"4", b"last"], "in the order they were asked"


async def test_a_hundred_at_once(pilot: Served) -> None:
    async def ask(number: int) -> tuple[int, str]:
        return await pilot.ask(f"/waits?{number}", "POST", data=b"x" * number * 1000)

    answers = await asyncio.gather(*(ask(number) for number in range(100)))
    assert answers == [(200, str(number)) for number in range(100)]
