"""Response."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest

from runtime.web import Headers, ReadableStream, Response
from runtime.web.scope import current_ctx, current_env


def test_defaults() -> None:
    response = Response()
    assert (response.status, response.status_text, response.ok, response.url) == (200, "", True, "")
    assert (response.redirected, response.type, response.body) == (False, "default", None)
    assert response.to_parts() == (200, "", [], None)
    assert repr(response) == "Response(status=200)"


def test_hello() -> None:
    raw = [(b"content-type", b"text/plain;charset=UTF-8")]
    assert Response("hi").headers.raw() == raw
    assert Response("hi").to_parts() == (200, "", [*raw, (b"content-length", b"2")], b"hi")


@pytest.mark.parametrize(
    "response",
    [
        Response("x", status=404, status_text="Gone Fishing", headers={"a": "1"}),
        Response("x", {"status": 404, "statusText": "Gone Fishing", "headers": {"a": "1"}}),
        Response("x", 404, "Gone Fishing", {"a": "1"}),
        Response("x", HTTPStatus.NOT_FOUND, "Gone Fishing", Headers({"a": "1"})),
        Response("x", Response("y", 404, "Gone Fishing", {"a": "1"})),
        Response("x", status="404", status_text="Gone Fishing", headers=[("a", "1")]),  # type: ignore[arg-type]
    ],
)
def test_the_ways_to_give_options(response: Response) -> None:
    assert response.status == 404
    assert response.status_text == response.statusText == "Gone Fishing"
    assert response.headers["a"] == "1"
    assert type(response.status) is int
    assert not response.ok


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, -1])
def test_statuses_out_of_range(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response(status=status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(status: int) -> None:
    assert Response(None, status=status).body is None
    for body in ("x", b"x", ReadableStream(b"")):
        with pytest.raises(TypeError, match="cannot have a body"):
            Response(body, status=status)


@pytest.mark.parametrize("body", ["", b""])
def test_an_empty_body_is_none_where_there_can_be_none(body: object) -> None:
    response = Response(body, status=204, headers={"allow": "GET"})
    assert response.body is None
    assert response.headers.raw() == [(b"allow", b"GET")]


async def test_of_a_response_alone() -> None:
    other = Response("x", status=201, headers={"a": "1"})
    response = Response(other)
    assert (response.status, response.headers["a"], await response.text()) == (201, "1", "x")
    with pytest.raises(ValueError, match="hand on its body"):
        Response(other, status=202)


def test_bad_options() -> None:
    with pytest.raises(TypeError, match="unknown option 'header'"):
        Response("x", {"header": {}})
    with pytest.raises(TypeError, match="invalid status_text"):
        Response("x", status_text="a\r\nb")
    with pytest.raises(TypeError, match="CR, LF or NUL"):
        Response("x", headers={"a": "b\nc"})


def test_a_given_content_type_stays() -> None:
    given = Response("x", headers={"Content-Type": "text/html"})
    assert given.headers.raw() == [(b"content-type", b"text/html")]
    response = Response("x")
    response.headers["content-type"] = "text/html"
    assert response.headers.raw() == [(b"content-type", b"text/html")]
    response.headers.delete("content-type")
    assert response.headers.raw() == []


async def test_json_makes_and_reads() -> None:
    response = Response.json({"a": [1, None, "é"]}, status=201, headers={"x": "1"})
    assert response.headers.items() == [("content-type", "application/json"), ("x", "1")]
    assert response.status == 201
    assert await response.clone().text() == '{"a":[1,null,"é"]}'
    assert await response.json() == {"a": [1, None, "é"]}
    assert Response.json(1, {"status": 202}).status == 202
    assert Response.from_json(1, 203).status == 203
    typed = Response.json({}, headers={"content-type": "application/ld+json"})
    assert typed.headers["content-type"] == "application/ld+json"


@pytest.mark.parametrize("data", [object(), {1, 2}, float("nan")])
def test_what_is_no_json(data: Any) -> None:
    with pytest.raises(TypeError):
        Response.json(data)


class Text(str):
    __slots__ = ()


class Items(dict[str, Any]):
    pass


class Shown(dict[str, Any]):
    def items(self) -> Any:
        return [("shown", "instead")]


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1, -1.5, True, None, "é\x00\u2028", (1, 2)], "b": {}},
        {2: "a", None: "b", True: "c", 1.5: "d"},
        {Text("a"): Text("b")},
        [Items({"a": [0.5, 1e300, 1e300]}), Shown(a=1), [1.5, 2]],
        [10**30, -(10**30), 2**64 - 1],
        {"null": [{"a": 1}, {2: ({}, [{True: None}])}, {Text("b"): [1.5]}]},
        json.loads("[" * 500 + "]" * 500),
    ],
)
async def test_json_is_what_pythons_json_writes(data: Any) -> None:
    text = await Response.json(data).text()
    assert text == json.dumps(data, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("number", [1e16, 1e-7, 1e300, 5e-324, -0.0, 0.1])
async def test_a_number_stays_the_same(number: float) -> None:
    assert repr(json.loads(await Response.json(number).text())) == repr(number)


@pytest.mark.parametrize(
    "data",
    [
        datetime.now(UTC),
        b"a",
        uuid4(),
        {"a": {1}},
        [float("inf")],
        {"a": [float("nan")]},
        {(1,): 1},
        {"a": Items(b=b"")},
        [{"a": 1}, {"b": [None, (1, float("nan"))]}],
        [{"a": [1, {"b"}]}],
    ],
)
def test_what_only_other_libraries_write_is_no_json(data: Any) -> None:
    with pytest.raises(TypeError):
        Response.json(data)


def test_json_without_an_end_is_refused() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(TypeError, match="Circular"):
        Response.json(data)


def test_redirect() -> None:
    response = Response.redirect("https://example.com/a b", 301)
    assert (response.status, response.headers["location"]) == (301, "https://example.com/a%20b")
    assert Response.redirect("http://a").status == 302
    with pytest.raises(ValueError, match="not a redirect status: 200"):
        Response.redirect("http://a", 200)
    with pytest.raises(TypeError, match=r"URL\(path, request\.url\)"):
        Response.redirect("/login")
    with pytest.raises(TypeError, match="cannot be changed"):
        response.headers.set("a", "1")


def test_error() -> None:
    response = Response.error()
    assert (response.status, response.type, response.ok, response.body) == (0, "error", False, None)


async def test_a_response_from_the_wire() -> None:
    raw = [(b"Content-Type", b"text/html"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    response = Response.from_parts(203, "Non-Auth", raw, b"text", url="http://a/", redirected=True)
    assert (response.status, response.url, response.redirected) == (203, "http://a/", True)
    assert response.headers.get_set_cookie() == ["a=1", "b=2"]
    response.headers.append("a", "1")
    clone = response.clone()
    clone.headers.append("a", "2")
    assert (response.headers["a"], clone.headers["a"]) == ("1", "1, 2")
    copy = Response(response.body, response)
    copy.headers["content-type"] = "text/plain"
    assert await copy.text() == await clone.text() == "text"


def test_a_status_without_a_body_has_none_from_the_wire_either() -> None:
    response = Response.from_parts(304, "", [(b"content-length", b"9")], b"")
    assert response.body is None
    assert Response(response.body, response).to_parts() == (304, "", [(b"content-length", b"9")], None)


def test_scope_is_empty_outside_an_event() -> None:
    for variable in (current_env, current_ctx):
        with pytest.raises(LookupError):
            variable.get()
