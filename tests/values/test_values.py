"""What a worker gives to a binding and gets from one, over the wire and back."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from runtime.values import JsArray, JsBigInt, JsDict, JsException, from_json, from_wire, js_string, stringify, to_wire

pytestmark = pytest.mark.unit


def sent(value: object) -> Any:
    """What arrives at the host's half."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(to_wire(value)))


def there_and_back(value: object) -> Any:
    return from_wire(sent(value))


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (None, None),
        (True, True),
        ("é\0", "é\0"),
        (5, 5),
        (-3, -3),
        (1.5, 1.5),
        (2.0, 2),
        (-0.0, 0),
        (math.inf, math.inf),
        (1e20, 1e20),
        (2**53 - 2, 2**53 - 2),
        (Colour.RED, 1),
        (Name("x"), "x"),
        (["a", [None, 1.0], {"b": {"c": None}}], ["a", [None, 1], {"b": {"c": None}}]),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, {"1": "a", "null": "b", "false": "c", "1.5": "d"}),
        ({1, "a"}, {1, "a"}),
    ],
)
def test_values_come_back(value: object, back: object) -> None:
    found = there_and_back(value)
    assert (found, type(found)) == (back, {dict: JsDict, list: JsArray}.get(type(back), type(back)))


def test_nan_comes_back() -> None:
    assert math.isnan(there_and_back(math.nan))


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 2**64, -(2**200), JsBigInt(3)])
def test_large_ints_are_bigints(value: int) -> None:
    found = there_and_back(value)
    assert (found, type(found)) == (value, JsBigInt)
    assert type(there_and_back([found])[0]) is JsBigInt


@pytest.mark.parametrize("value", [b"\0\xff", memoryview(b"\0\xff")])
def test_bytes_come_back_as_a_memoryview(value: object) -> None:
    found = there_and_back({"a": value})["a"]
    assert isinstance(found, memoryview)
    assert found == b"\0\xff"


def test_a_moment_is_local_and_has_milliseconds() -> None:
    moment = datetime(2026, 11, 27, 10, 30, 1, 123456)
    assert there_and_back(moment) == moment.replace(microsecond=123000)
    aware = datetime(2026, 11, 27, 10, 30, tzinfo=timezone(timedelta(hours=5)))
    assert there_and_back(aware) == aware.astimezone().replace(tzinfo=None)
    assert sent(moment).tzinfo == UTC


def test_an_exception_keeps_its_text() -> None:
    found = there_and_back(ValueError("no"))
    assert (type(found), str(found)) == (Exception, "Error: no")


async def sleepy() -> None: ...


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"a": [value]}])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((1, 2), "<class 'tuple'> cannot be sent over RPC."),
        (bytearray(b"x"), "<class 'bytearray'> cannot be sent over RPC."),
    ],
)
def test_what_cannot_be_sent_is_refused(value: object, told: str, wrap: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as caught:
        to_wire(wrap(value))
    assert str(caught.value) == told


def test_an_awaitable_is_refused() -> None:
    work = sleepy()
    with pytest.raises(TypeError, match=r"Awaitable <coroutine object sleepy.* cannot be sent over RPC"):
        to_wire({"a": work})
    work.close()


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="holds itself"):
        to_wire(loop)


def test_a_plain_object_has_attributes() -> None:
    found = there_and_back({"a": {"b": 1}, "keys": [1]})
    assert (found.a.b, found["keys"], list(found.keys())) == (1, [1], ["a", "keys"])
    found.c = 2
    assert found == {"a": {"b": 1}, "keys": [1], "c": 2}
    with pytest.raises(AttributeError):
        _ = found.missing
    assert type(found.to_py()["a"]) is dict


def test_an_error_of_javascripts() -> None:
    error = JsException("no such key", "TypeError", code=7, args="x")
    assert (str(error), error.name, error.message) == ("TypeError: no such key", "TypeError", "no such key")
    assert (error.code, error.args, bool(error.stack)) == (7, ("no such key",), True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ("x", "x"),
        (["k1", "k2", None, ["a"]], "k1,k2,,a"),
        ({"a": 1}, "[object Object]"),
        (b"\1\2", "1,2"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e20, "100000000000000000000"),
        (1e-7, "1e-7"),
        (1.25e-5, "0.0000125"),
        (2**60, "1152921504606846976"),
    ],
)
def test_string_of(value: object, text: str) -> None:
    assert js_string(sent(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1.0, None, "é"], "b": math.nan}, '{"a":[1,null,"é"],"b":null}'),
        (b"\1\2", '{"0":1,"1":2}'),
        ({1}, "{}"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05.000Z"'),
    ],
)
def test_json_of(value: object, text: str) -> None:
    assert stringify(sent(value)) == text


def test_json_of_a_bigint() -> None:
    with pytest.raises(TypeError, match="Do not know how to serialize a BigInt"):
        stringify(sent([2**60]))


def test_json_is_read_as_javascript_does() -> None:
    assert from_json(b'{"a": 1.0, "b": [null], "c": 9007199254740993}') == {"a": 1, "b": [None], "c": 2**53}
    assert type(from_json(b"9007199254740993")) is float
    assert from_json(rb'"\ud83d"') == "\ud83d"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"hello", """Unexpected token 'h', "hello" is not valid JSON"""),
        (b"", "Unexpected end of JSON input"),
        (b'{"a": ', "Unexpected end of JSON input"),
        (b'"a\\', "Unexpected end of JSON input"),
        (b"[nul", "Unexpected end of JSON input"),
        (b"NaN", '"NaN" is not valid JSON'),
        (b"[tru]", """Unexpected token ']', "[tru]" is not valid JSON"""),
        (b"x" * 100, """Unexpected token 'x', "xxxxxxxxxx"... is not valid JSON"""),
        (b'{"aaaaaaaaaaaaaa": bad}', """Unexpected token 'b', ..."aaaaaaa": bad}" is not valid JSON"""),
        (b"01", "Unexpected number in JSON at position 1 (line 1 column 2)"),
        (b"-x", "No number after minus sign in JSON at position 1 (line 1 column 2)"),
        (b"[1.]", "Unterminated fractional number in JSON at position 3 (line 1 column 4)"),
        (b"1e+", "Exponent part is missing a number in JSON at position 3 (line 1 column 4)"),
        (b'"abc', "Unterminated string in JSON at position 4 (line 1 column 5)"),
        (b'"\n"', "Bad control character in string literal in JSON at position 1 (line 1 column 2)"),
        (rb'"\x"', "Bad escaped character in JSON at position 2 (line 1 column 3)"),
        (rb'"\u12"', "Bad Unicode escape in JSON at position 5 (line 1 column 6)"),
        (b"{1: 2}", "Expected property name or '}' in JSON at position 1 (line 1 column 2)"),
        (b'{"a":1,}', "Expected double-quoted property name in JSON at position 7 (line 1 column 8)"),
        (b'{\n"a" 1}', "Expected ':' after property name in JSON at position 6 (line 2 column 5)"),
        (b'{"a":[]', "Expected ',' or '}' after property value in JSON at position 7 (line 1 column 8)"),
        (b"[{} 2]", "Expected ',' or ']' after array element in JSON at position 4 (line 1 column 5)"),
        (b"{} x", "Unexpected non-whitespace character after JSON at position 3 (line 1 column 4)"),
        (b"[1, " + b" " * 100_000 + b"]", "Unexpected token ']', ...\"          ]\" is not valid JSON"),
    ],
)
def test_what_is_no_json(text: bytes, told: str) -> None:
    with pytest.raises(JsException) as caught:
        from_json(text)
    assert (caught.value.name, caught.value.message) == ("SyntaxError", told)
