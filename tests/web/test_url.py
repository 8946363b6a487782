"""URL and URLSearchParams."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.web import URL, URLSearchParams


def test_parts() -> None:
    url = URL("https://me:secret@Example.com:8080/a/../b c?q=1#top")
    assert str(url) == url.href == url.to_string() == url.toJSON() == "https://me:secret@example.com:8080/b%20c?q=1#top"
    assert (url.protocol, url.username, url.password) == ("https:", "me", "secret")
    assert (url.host, url.hostname, url.port) == ("example.com:8080", "example.com", "8080")
    assert (url.pathname, url.search, url.hash, url.origin) == ("/b%20c", "?q=1", "#top", "https://example.com:8080")


def test_parts_can_be_assigned() -> None:
    url = URL("http://example.com/")
    url.protocol, url.host, url.pathname, url.search, url.hash = "https", "a.b:81", "/x y", "a=1", "h"
    assert url.href == "https://a.b:81/x%20y?a=1#h"
    url.port = "not a port"
    url.hostname = "sp ace"
    assert url.host == "a.b:81"
    url.port = ""
    url.href = "http://other/"
    assert str(url) == "http://other/"
    with pytest.raises(TypeError):
        url.href = "nonsense"


def test_bases() -> None:
    assert URL("/b?c", "http://a/x/y").href == "http://a/b?c"
    assert URL("z", URL("http://a/x/y")).href == "http://a/x/z"
    assert URL.can_parse("z", "http://a/")
    assert not URL.canParse("z")
    assert URL.parse("z") is None
    assert URL.parse("http://a") == URL("http://a/")
    assert len({URL("http://a"), URL("http://a/")}) == 1


@pytest.mark.parametrize("text", ["", "/path", "http://", "http://a b/", "nonsense", None])
def test_what_is_no_url(text: Any) -> None:
    with pytest.raises(TypeError, match="invalid URL"):
        URL(text)
    with pytest.raises(TypeError, match="a relative one needs a base"):
        URL("/path")


def test_search_params_are_live() -> None:
    url = URL("http://a/?x=1&y=2")
    assert url.search_params is url.searchParams
    url.search_params.append("z", "ä b")
    assert url.search == "?x=1&y=2&z=%C3%A4+b"
    url.search_params.delete("y")
    url.search = "?only=this"
    assert url.search_params.items() == [("only", "this")]
    url.search_params.delete("only")
    assert url.href == "http://a/"


def test_search_params() -> None:
    params = URLSearchParams("?a=1&b=%26+c&a=2&empty")
    assert params.items() == [("a", "1"), ("b", "& c"), ("a", "2"), ("empty", "")]
    assert (params.get("a"), params.get_all("a"), params.get("none")) == ("1", ["1", "2"], None)
    assert params["b"] == "& c"
    assert "a" in params
    assert params.has("a", "2")
    assert not params.has("a", "3")
    assert len(params) == params.size == 4
    params.set("a", 3)
    params.append("~*", "é")
    params.sort()
    assert str(params) == params.toString() == "a=3&b=%26+c&empty=&%7E*=%C3%A9"
    params.delete("empty")
    assert list(params) == ["a", "b", "~*"]
    with pytest.raises(KeyError):
        params["none"]


def test_what_is_no_utf_8_in_a_query() -> None:
    assert URL("http://h/?a=%E9&b=%zz&&c+d&=x").search_params.items() == [
        ("a", "\ufffd"), ("b", "%zz"), ("c d", ""), ("", "x"),
    ]  # fmt: skip


def test_search_params_from_other_things() -> None:
    assert str(URLSearchParams({"a": 1, "b": "x y"})) == "a=1&b=x+y"
    assert str(URLSearchParams([("a", "1"), ("a", "2")])) == "a=1&a=2"
    assert str(URLSearchParams(URLSearchParams("a=1&a=2"))) == "a=1&a=2"
    assert str(URLSearchParams()) == ""
    with pytest.raises(TypeError):
        URLSearchParams(5)
