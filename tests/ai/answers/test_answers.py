"""What ``fetch`` may return, and what a client gets of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from serving import ROUTER, Served, raw, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + '''
import asyncio, datetime, http, json
from workers import Response, Headers, ReadableStream, FormData, URLSearchParams, Blob

go = asyncio.Event()

async def chunks(*items, pause=0.0):
    for item in items:
        yield item
        await asyncio.sleep(pause)

def none(): return Response(None)
def empty(): return Response()
def text(): return Response("héllo")
def raw(): return Response(b"\\x00\\xff")
def stream(): return Response(chunks(b"by", "té"))
def other(): return Response(Response("inner").body, status=201)
def other_stream(): return Response(Response(chunks("a", "b")).body)
def readable(): return Response(ReadableStream(chunks("a", b"b")))
def data(): return Response.json({"a": [1, "é"]}, status=202, headers={"x-a": "b"})
def elsewhere(): return Response.redirect("https://example.com/there", 307)
def params(): return Response(URLSearchParams({"a": "1 2"}))
def blob(): return Response(Blob(["x"], type="text/css"))
def init(): return Response("x", {"status": 418, "statusText": "teapot", "headers": {"x-a": "b"}})
def status_object(): return Response("x", status=http.HTTPStatus.ACCEPTED)
def big(): return Response("x" * 5_000_000)
def big_chunks(): return Response(chunks(b"x" * 3_000_000, "é" * 1_000_000))
def nothing_streamed(): return Response(chunks())
def empty_chunks(): return Response(chunks("", "a", b"", "b"))

def events(): return chunks("data: 1\\n\\n", b"data: \\xff\\n\\n")
def events_response(): return Response(chunks("data: 1\\n\\n"), headers={"content-type": "text/event-stream"})
def events_cached():
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-transform"}
    return Response(chunks("data: 1\\n\\n"), headers=headers)
async def slow():
    go.clear()
    yield "data: first\\n\\n"
    await go.wait()
    yield "data: second\\n\\n"
def goes_on(): go.set(); return Response("gone")
def slow_response(): return Response(slow(), headers={"content-type": "text/plain"})
def slow_readable(): return ReadableStream(slow())

def bad_none(): return None
def bad_str(): return "text"
def bad_bytes(): return b"text"
def bad_dict(): return {"a": 1}
def bad_list(): return [1]
def bad_int(): return 204
def bad_tuple(): return ("text", 200)
def bad_generator(): return (c for c in "ab")
def bad_class(): return Response
def bad_body(): return Response({"a": 1})
def bad_body_generator(): return Response(c for c in "ab")
def bad_body_coroutine():
    work = asyncio.sleep(0)
    try: return Response(work)
    finally: work.close()
def bad_body_response(): return Response(Response("x"), status=201)
def bad_error(): return Response.error()
def bad_json(): return Response.json({"when": datetime.datetime.now()})
CACHED = Response("once")
def bad_again(): return CACHED
def bad_chunk(): return Response(chunks("a", {"b": 1}))

class Odd(Exception):
    def __str__(self): raise ValueError("no text")
def raises(): return 1 / 0
def raises_in_a_library(): return json.loads("{")
def stops(): breakpoint()
def raises_odd(): raise Odd
def raises_undecodable(): raise OSError("no file \\udcff")
def raises_exit(): raise SystemExit(3)
def raises_interrupt(): raise KeyboardInterrupt
def raises_stop(): return next(iter(()))
def raises_recursion(): return raises_recursion()
def raises_group(): raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
async def raises_cancelled():
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await task
async def raises_timeout():
    async with asyncio.timeout(0.01): await asyncio.sleep(10)

async def breaking(error):
    yield "some"
    await asyncio.sleep(0.05)
    raise error
def breaks(): return Response(breaking(RuntimeError("half-way")))
def breaks_events(): return breaking(RuntimeError("half-way"))
def breaks_cancelled(): return Response(breaking(asyncio.CancelledError()))
def breaks_exit(): return Response(breaking(SystemExit(3)))

def status(request): return Response(None, status=int(request.url.rpartition("/")[2]))
def bodiless(request): return Response("x", status=int(request.url.rpartition("/")[2]))
def cookies():
    headers = Headers({"x-many": "1"})
    headers.append("x-many", "2")
    headers.append("set-cookie", "a=1, b; Path=/")
    headers.append("Set-Cookie", "c=2")
    return Response("x", headers=headers)
def pairs(): return Response("x", headers=[("x-a", "1"), ("X-A", "2")])
def after():
    response = Response("x")
    response.headers["x-later"] = "yes"
    return response
def latin(): return Response("x", headers={"x-name": "caf\\u00e9"})
def beyond_latin(): return Response("x", headers={"x-name": "\\u65e5"})
def line_break(): return Response("x", headers={"x-name": "a\\r\\nset-cookie: evil=1"})
def bad_name(): return Response("x", headers={"x name": "a"})
def control(): return Response("x", headers={"x-name": "a\\x01b"})
class Forged(Response):
    """Past every check of the worker's own process."""
    def to_parts(self, accepts=None):
        return 200, "OK", [(self.name, b"1"), (b"content-length", b"4")], b"four"
def forged_name():
    answer = Forged("four")
    answer.name = b"x: 1\\r\\nset-cookie"
    return answer
def forged_length():
    answer = Forged("four")
    answer.name = b"Content-Length"
    return answer
def framing():
    return Response("four", headers={"transfer-encoding": "chunked", "content-length": "99", "connection": "close"})
def framing_stream(): return Response(chunks("four"), headers={"content-length": "99"})
def framing_none(): return Response(None, headers={"content-length": "99"})
def framing_nonsense(): return Response(None, headers={"content-length": "nonsense"})
def dated(): return Response("x", headers={"date": "Thu, 01 Jan 1970 00:00:00 GMT"})
'''
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("answers")
    write(folder, WORKER)
    async with serving(folder) as served:
        yield served


TEXT = "text/plain;charset=UTF-8"
BODIES = {
    "none": (200, b"", None),
    "empty": (200, b"", None),
    "text": (200, "héllo".encode(), TEXT),
    "raw": (200, b"\0\xff", None),
    "stream": (200, "byté".encode(), None),
    "other": (201, b"inner", None),
    "other_stream": (200, b"ab", None),
    "readable": (200, b"ab", None),
    "data": (202, '{"a":[1,"é"]}'.encode(), "application/json"),
    "elsewhere": (307, b"", None),
    "params": (200, b"a=1+2", "application/x-www-form-urlencoded;charset=UTF-8"),
    "blob": (200, b"x", "text/css"),
    "init": (418, b"x", TEXT),
    "status_object": (202, b"x", TEXT),
    "big": (200, b"x" * 5_000_000, TEXT),
    "big_chunks": (200, b"x" * 3_000_000 + "é".encode() * 1_000_000, None),
    "nothing_streamed": (200, b"", None),
    "empty_chunks": (200, b"ab", None),
    "events": (200, b"data: 1\n\ndata: \xff\n\n", "text/event-stream"),
    "events_response": (200, b"data: 1\n\n", "text/event-stream"),
}


@pytest.mark.parametrize("path", BODIES)
async def test_bodies(pilot: Served, path: str) -> None:
    status, body, kind = BODIES[path]
    async with pilot.http.get(f"{pilot.url}/{path}", allow_redirects=False) as response:
        assert (response.status, response.headers.get("content-type")) == (status, kind)
        assert await response.read() == body
    async with pilot.http.head(f"{pilot.url}/{path}", allow_redirects=False) as response:
        assert (response.status, response.headers.get("content-type")) == (status, kind)
        assert response.headers.get("content-length") in (str(len(body)), None), "what GET would say, or nothing"
        assert await response.read() == b""


async def test_event_streams_are_for_now(pilot: Served) -> None:
    for path in ("events", "events_response", "slow_readable"):
        async with pilot.http.get(f"{pilot.url}/{path}", headers={"accept-encoding": "gzip"}) as response:
            headers = response.headers
            assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
            assert "content-encoding" not in headers
            assert "content-length" not in headers
    async with pilot.http.get(f"{pilot.url}/events_cached") as response:
        assert response.headers.getall("cache-control") == ["no-transform"], "what the worker says stands"


@pytest.mark.parametrize("path", ["slow", "slow_response", "slow_readable"])
async def test_a_chunk_leaves_when_it_is_yielded(pilot: Served, path: str) -> None:
    async with pilot.http.get(f"{pilot.url}/{path}") as response:
        assert await response.content.readany() == b"data: first\n\n", "the worker waits for the next request"
        assert await pilot.ask("/goes_on") == (200, "gone")
        assert await response.content.read() == b"data: second\n\n"


WRONG = {
    "bad_none": ("NoneType", "return Response(...)"),
    "bad_str": ("returned str", "return Response(text)"),
    "bad_bytes": ("returned bytes", "return Response(data)"),
    "bad_dict": ("returned dict", "Response.json(data)"),
    "bad_list": ("returned list", "Response.json(data)"),
    "bad_int": ("returned int", "Response(None, status=...)"),
    "bad_tuple": ("returned tuple", "return Response(body, status=...)"),
    "bad_generator": ("returned generator", "async def"),
    "bad_class": ("returned type", "return Response(...)"),
    "bad_body": ("dict", "Response.json(data)"),
    "bad_body_generator": ("generator", "async def generate()"),
    "bad_body_coroutine": ("coroutine", "await"),
    "bad_body_response": ("Response", "Response(other.body"),
    "bad_error": ("Response.error()", "status=502"),
    "bad_json": ("datetime", "not JSON serializable"),
}


@pytest.mark.parametrize("path", WRONG)
async def test_what_cannot_be_served_names_the_type_and_the_fix(pilot: Served, path: str) -> None:
    status, text = await pilot.ask(f"/{path}")
    what, remedy = WRONG[path]
    assert status == 500
    assert what in text, text
    assert remedy in text, text
    status, page = await pilot.ask(f"/{path}", headers={"accept": "text/html,*/*"})
    assert (status, page.startswith("<!doctype html>")) == (500, True)


async def test_a_response_is_used_once(pilot: Served) -> None:
    assert await pilot.ask("/bad_again") == (200, "once")
    status, text = await pilot.ask("/bad_again")
    assert (status, "already used" in text) == (500, True)


RAISES = {
    "raises": "ZeroDivisionError: division by zero",
    "raises_odd": "Odd",
    "raises_undecodable": "no file \\udcff",
    "raises_exit": "SystemExit(3)",
    "raises_interrupt": "KeyboardInterrupt",
    "raises_stop": "StopIteration",
    "raises_recursion": "RecursionError",
    "raises_group": "KeyError: 'two'",
    "raises_cancelled": "CancelledError",
    "raises_timeout": "TimeoutError",
}


@pytest.mark.parametrize("path", RAISES)
async def test_exceptions_are_told_with_the_scripts_own_traceback(pilot: Served, path: str) -> None:
    since = len(pilot.events)
    status, text = await pilot.ask(f"/{path}")
    assert status == 500
    assert RAISES[path] in text, text
    assert 'entry.py", line' in text, text
    assert "/runtime/" not in text, "none of our frames"
    status, page = await pilot.ask(f"/{path}", headers={"accept": "text/html"})
    assert (status, "<!doctype html>" in page, f"in {path}" in page) == (500, True, True)
    line = await pilot.event("script_error", since=since)
    assert f"in {path}" in line["trace"]


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(WORKER.splitlines(), 1) if text in line)


@pytest.mark.parametrize(("path", "line", "what"), [
    ("raises", "def raises()", "ZeroDivisionError: division by zero"),
    ("raises_in_a_library", "json.loads", "JSONDecodeError: Expecting"),
    ("bad_body", "def bad_body()", "TypeError: "),
    ("bad_dict", "async def fetch", "fetch returned dict"),
    ("stops", "def stops", "breakpoint() needs a terminal\n  pilot dev --inline"),
])  # fmt: skip
async def test_an_error_names_the_workers_own_line(pilot: Served, path: str, line: str, what: str) -> None:
    status, text = await pilot.ask(f"/{path}")
    assert (status, f"\nentry.py, line {line_of(line)}: {what}" in text) == (500, True), text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("breaks", "RuntimeError: half-way"), ("breaks_events", "RuntimeError: half-way"),
        ("breaks_cancelled", "CancelledError"), ("breaks_exit", "SystemExit(3)"),
        ("bad_chunk", "must be bytes or str, not dict"),
    ],
)  # fmt: skip
async def test_an_exception_half_way_cuts_the_connection(pilot: Served, path: str, told: str) -> None:
    since = len(pilot.events)
    async with pilot.http.get(f"{pilot.url}/{path}") as response:
        assert response.status == 200
        assert await response.content.readany() in (b"some", b"a")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    line = await pilot.event("script_error", since=since)
    assert told in line["what"]
    assert 'entry.py", line' in line["trace"] or path == "bad_chunk"
    line = await pilot.event("request", since=since, path=f"/{path}")
    assert (line["level"], line["note"]) == ("error", "broke off")
    assert await pilot.ask("/text") == (200, "héllo")


async def test_statuses(pilot: Served) -> None:
    for status in (200, 204, 205, 304, 404, 599):
        async with pilot.http.get(f"{pilot.url}/status/{status}", allow_redirects=False) as response:
            assert (response.status, await response.read()) == (status, b"")
    for status in (99, 100, 101, 199, 600, 1000, -1):
        code, text = await pilot.ask(f"/status/{status}")
        assert (code, "200 to 599" in text) == (500, True), text
    for status in (204, 205, 304):
        code, text = await pilot.ask(f"/bodiless/{status}")
        assert (code, f"Response(None, status={status})" in text) == (500, True), text


async def test_statuses_without_a_body_have_no_length(pilot: Served) -> None:
    """RFC 9110, sections 8.6 and 15: nothing follows the head, and the connection goes on."""
    head = b"GET /status/%d HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = await raw(pilot, head % 204 + head % 304 + b"GET /text HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    first, second, third = answer.split(b"HTTP/1.1 ")[1:]
    for part in (first, second):
        assert part.endswith(b"\r\n\r\n")
        assert b"content-length" not in part
        assert b"transfer-encoding" not in part
    assert third.startswith(b"200")


async def test_headers(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/cookies") as response:
        assert response.headers.getall("set-cookie") == ["a=1, b; Path=/", "c=2"]
        assert response.headers.getall("x-many") == ["1", "2"]
    async with pilot.http.get(f"{pilot.url}/pairs") as response:
        assert response.headers.getall("x-a") == ["1", "2"]
    async with pilot.http.get(f"{pilot.url}/after") as response:
        assert response.headers["x-later"] == "yes"
    assert b"x-name: caf\xe9\r\n" in await raw(pilot, b"GET /latin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("beyond_latin", "beyond latin-1"), ("line_break", "may not contain CR, LF or NUL"),
        ("bad_name", "invalid header name"), ("control", "control character"),
        ("forged_name", "cannot be the name of a header"), ("forged_length", "cannot be the name of a header"),
    ],
)  # fmt: skip
async def test_headers_that_http_cannot_carry_are_refused(pilot: Served, path: str, told: str) -> None:
    async with pilot.http.get(f"{pilot.url}/{path}") as response:
        text = await response.text()
        assert (response.status, told in text) == (500, True), text
        assert "set-cookie" not in response.headers


async def test_the_length_and_framing_are_the_runtimes(pilot: Served) -> None:
    """Whatever the worker says of them: two that disagree let one answer pass for two."""
    for path, body in (
        ("framing", b"four"), ("framing_stream", b"four"), ("framing_none", b""), ("framing_nonsense", b""),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            request = f"{method} /{path} HTTP/1.1\r\nhost: a\r\n\r\nGET /text HTTP/1.1\r\nhost: a\r\nconnection: close"
            answer = await raw(pilot, request.encode() + b"\r\n\r\n")
            assert answer.count(b"HTTP/1.1 200") == 2, answer
            head, _, _ = answer.partition(b"\r\n\r\n")
            assert (head.count(b"content-length:") + head.count(b"transfer-encoding:")) <= 1, head
        async with pilot.http.get(f"{pilot.url}/{path}") as response:
            assert await response.read() == body
    async with pilot.http.get(f"{pilot.url}/dated") as response:
        assert len(response.headers.getall("date")) == 1


async def test_every_request_has_one_line_in_the_log(pilot: Served) -> None:
    since = len(pilot.events)
    await pilot.ask("/data", "POST", data=json.dumps({}))
    line = await pilot.event("request", since=since, path="/data")
    assert (line["method"], line["status"]) == ("POST", 202)
    await asyncio.sleep(0.05)
    assert sum(line["event"] == "request" and line["path"] == "/data" for line in pilot.events[since:]) == 1
