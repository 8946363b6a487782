"""Headers behave as in the Fetch standard, and feel like a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.web import Headers


def test_names_ignore_case_and_values_join() -> None:
    headers = Headers([("Accept", "a"), ("accept", "b"), ("X", " padded\t")])
    assert headers.get("ACCEPT") == headers["accept"] == "a, b"
    assert headers.get_all("accept") == ["a", "b"]
    assert headers["x"] == "padded"
    assert headers.get("none") is None
    assert headers.get("none", "default") == "default"


def test_changes() -> None:
    headers = Headers({"a": "1"})
    headers.append("b", "2")
    headers.append("A", "3")
    headers.set("a", "4")
    headers["c"] = 5
    assert headers.raw() == [(b"a", b"4"), (b"b", b"2"), (b"c", b"5")]
    headers.delete("a")
    headers.delete("never-there")
    del headers["b"]
    del headers["never-there"]
    headers.update({"c": "6", "d": "7"})
    assert headers.raw() == [(b"c", b"6"), (b"d", b"7")]


def test_iterating_is_sorted_and_lower_case() -> None:
    cookies = [("Set-Cookie", "a=1, x"), ("set-cookie", "b=2")]
    headers = Headers([("Zed", "1"), cookies[0], ("Alpha", "2"), cookies[1], ("zed", "3")])
    assert headers.items() == headers.entries() == [
        ("alpha", "2"), ("set-cookie", "a=1, x"), ("set-cookie", "b=2"), ("zed", "1, 3"),
    ]  # fmt: skip
    assert list(headers) == headers.keys() == ["alpha", "set-cookie", "zed"]
    assert headers.values() == ["2", "a=1, x", "b=2", "1, 3"]
    assert headers.get_set_cookie() == headers.getSetCookie() == ["a=1, x", "b=2"]
    assert headers.getAll("Set-Cookie") == ["a=1, x", "b=2"]
    assert [name for name, _ in headers.raw()] == [b"zed", b"set-cookie", b"alpha", b"set-cookie", b"zed"]


def test_it_feels_like_a_mapping() -> None:
    headers = Headers({"A": "1"})
    assert "a" in headers
    assert "b" not in headers
    assert 5 not in headers
    assert "bad name" not in dict(headers)
    assert len(headers) == 1
    assert dict(headers) == {"a": "1"}
    assert headers == Headers([("a", "1")])
    assert headers != Headers()
    assert headers != {"a": "1"}
    assert repr(headers) == "Headers([('a', '1')])"
    assert headers["b"] is None, "as http.client.HTTPMessage has it"
    assert isinstance(headers, Mapping)


def test_it_has_the_methods_of_a_message() -> None:
    headers = Headers({"Content-Type": 'multipart/form-data; boundary="x"; charset=UTF-8'})
    assert (headers.get_content_type(), headers.get_content_maintype()) == ("multipart/form-data", "multipart")
    assert (headers.get_boundary(), headers.get_content_charset()) == ("x", "utf-8")
    headers.add_header("A", "1")
    headers.replace_header("a", "2")
    assert headers.get_all("a", ["none"]) == ["2"]
    assert headers.get_all("b", ["none"]) == ["none"]
    with pytest.raises(AttributeError, match="set_payload"):
        headers.set_payload("x")


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\n", "日", "a\0", 5])
def test_bad_names(name: Any) -> None:
    for use in (lambda: Headers([(name, "x")]), lambda: Headers().get(name), lambda: Headers().delete(name)):
        with pytest.raises(TypeError, match="invalid header name"):
            use()


@pytest.mark.parametrize("value", ["a\r\nb: 1", "a\nb", "a\rb", "a\0b", b"a\nb"])
def test_values_that_would_break_the_message(value: Any) -> None:
    with pytest.raises(TypeError, match="may not contain CR, LF or NUL"):
        Headers({"a": value})


@pytest.mark.parametrize(
    ("value", "what"), [("日", "beyond latin-1"), (None, "NoneType"), (True, "bool"), (["a"], "list")]
)
def test_values_that_are_none(value: Any, what: str) -> None:
    with pytest.raises(TypeError, match=what):
        Headers({"a": value})


def test_latin_1_is_the_wire() -> None:
    headers = Headers({"a": "é", "b": b"\xe9"})
    assert headers.raw() == [(b"a", b"\xe9"), (b"b", b"\xe9")]
    assert headers["b"] == "é"


@pytest.mark.parametrize("init", ["a: b", b"a", 5, [("a",)], [("a", "b", "c")], ["ab"]])
def test_bad_inits(init: Any) -> None:
    with pytest.raises(TypeError):
        Headers(init)


def test_copies_are_their_own() -> None:
    first = Headers([("a", "1"), ("a", "2")])
    copy = Headers(first)
    copy.set("a", "3")
    assert first.get("a") == "1, 2"


def test_headers_from_a_peer_can_be_frozen() -> None:
    headers = Headers.from_raw([[b"Content-Type", b"text/html"]], frozen=True)
    assert headers["content-type"] == "text/html"
    for change in (
        lambda: headers.set("a", "1"), lambda: headers.append("a", "1"), lambda: headers.delete("a"),
        lambda: headers.update({"a": "1"}), lambda: headers.update(Headers()),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"copy them first: Headers\(other\)"):
            change()
    copy = Headers(headers)
    copy["a"] = "1"
    headers.raw().clear()
    assert len(headers) == 1
