"""What JavaScript's language has besides classes: ``encodeURIComponent``, ``parseInt``, ``Number``, ``Reflect``."""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary, ref
from weakref import WeakSet as _WeakSet

from js._set import Lookup  # type: ignore[import-not-found,attr-defined,unused-ignore]
from runtime.isolate.script.errors import report
from runtime.values import JsArray, JsException, Named

Infinity, NaN, undefined = math.inf, math.nan, None
_UNRESERVED = "!~*'()"  # besides letters, digits, "-", "_" and ".", which Python leaves as they are, too
_RESERVED = ";/?:@&=+$,#"
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_INTEGER = re.compile(r"\s*([+-]?)(0[xX])?")
_FLOAT = re.compile(r"\s*[+-]?(?:Infinity|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)")
_PREFIXES = ("0x", "0o", "0b")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def encodeURIComponent(text: object) -> str:
    return quote(_text(text), safe=_UNRESERVED)


def encodeURI(text: object) -> str:
    return quote(_text(text), safe=_UNRESERVED + _RESERVED)


def decodeURIComponent(text: str) -> str:
    """Raises JsException, a URIError, for what is no UTF-8 and a % without two digits."""
    try:
        if not _STRAY_PERCENT.search(text):
            return unquote(text, errors="strict")
    except UnicodeDecodeError:
        pass
    raise JsException("URI malformed", "URIError")


def decodeURI(text: str) -> str:
    kept = "".join(f"%{ord(char):02X}" for char in _RESERVED)
    pieces = re.split(f"({'|'.join(re.escape(kept[i : i + 3]) for i in range(0, len(kept), 3))})", text, flags=re.I)
    return "".join(piece if index % 2 else decodeURIComponent(piece) for index, piece in enumerate(pieces))


def parseInt(text: object, radix: int = 0) -> float:
    """The number at its beginning; NaN where there is none."""
    found = _INTEGER.match(_text(text))
    assert found is not None
    base = radix or (16 if found[2] else 10)
    rest = _text(text)[found.end() if base == 16 else found.end(1) :].lower()
    digits = re.match(f"[{_DIGITS[:base]}]*", rest)
    assert digits is not None
    return int(f"{found[1]}{digits[0]}", base) if digits[0] else NaN


def parseFloat(text: object) -> float:
    found = _FLOAT.match(_text(text))
    return NaN if found is None else _whole(float(found[0].strip().replace("Infinity", "inf")))


def isNaN(value: object) -> bool:
    number = Number(value)
    return bool(number != number)


def isFinite(value: object) -> bool:
    return bool(math.isfinite(Number(value)))


def _number(text: str) -> str:
    """What Python, but not JavaScript, reads as a number raises ValueError."""
    if "_" in text or text.lstrip("+-") in ("inf", "nan"):
        raise ValueError(text)
    return text or "0"


class Number:
    """``Number("12")`` is the number that a text says."""

    MAX_VALUE, MIN_VALUE, POSITIVE_INFINITY, NEGATIVE_INFINITY = sys.float_info.max, 5e-324, math.inf, -math.inf
    MAX_SAFE_INTEGER, MIN_SAFE_INTEGER, EPSILON = 2**53 - 1, -(2**53) + 1, 2.0**-52
    parseInt, parseFloat = staticmethod(parseInt), staticmethod(parseFloat)

    def __new__(cls, value: object = 0) -> Any:
        if isinstance(value, str):
            try:
                text = value.strip().lower()
                return int(text, 0) if text[:2] in _PREFIXES else _whole(float(_number(text)))
            except ValueError:
                return NaN
        return NaN if value is None else _whole(float(value))  # type: ignore[arg-type]

    @staticmethod
    def isInteger(value: object) -> bool:
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())

    @staticmethod
    def isSafeInteger(value: object) -> bool:
        return Number.isInteger(value) and abs(value) <= Number.MAX_SAFE_INTEGER  # type: ignore[arg-type]

    @staticmethod
    def isFinite(value: object) -> bool:
        return isinstance(value, int | float) and math.isfinite(value)

    @staticmethod
    def isNaN(value: object) -> bool:
        return isinstance(value, float) and math.isnan(value)


class String:
    """``String(value)`` is its text."""

    def __new__(cls, value: object = "") -> str:  # type: ignore[misc]
        return _text(value)

    @staticmethod
    def fromCharCode(*units: int) -> str:
        """Of units of UTF-16."""
        return (
            array("H", [unit & 0xFFFF for unit in units])
            .tobytes()
            .decode(f"utf-16-{sys.byteorder[0]}e", "surrogatepass")
        )

    @staticmethod
    def fromCodePoint(*points: int) -> str:
        return "".join(map(chr, points))


def Boolean(value: object = False) -> bool:
    return bool(value)


class Reflect:
    """Of a mapping its items, of anything else its attributes."""

    @staticmethod
    def ownKeys(target: object) -> JsArray:
        return JsArray(target if isinstance(target, Mapping) else vars(target))

    @staticmethod
    def has(target: object, named: object) -> bool:
        name = _method(named)
        return name in target if isinstance(target, Mapping) and name[:2] != "__" else hasattr(target, name)

    @staticmethod
    def get(target: object, named: object) -> object:
        name = _method(named)
        return target.get(name) if isinstance(target, Mapping) and name[:2] != "__" else getattr(target, name, None)

    @staticmethod
    def set(target: object, name: str, value: object) -> bool:
        if isinstance(target, dict):
            target[name] = value
        else:
            setattr(target, name, value)
        return True

    @staticmethod
    def deleteProperty(target: object, name: str) -> bool:
        if isinstance(target, dict):
            target.pop(name, None)
        elif hasattr(target, name):
            delattr(target, name)
        return True

    @staticmethod
    def defineProperty(target: object, name: str, how: Mapping[str, object]) -> bool:
        return Reflect.set(target, name, how.get("value"))

    @staticmethod
    def apply(function: Callable[..., object], this: object, args: list[Any]) -> object:
        return function(*args)

    @staticmethod
    def construct(cls: Callable[..., object], args: list[Any]) -> object:
        return getattr(cls, "new", cls)(*args)


def _method(name: object) -> str:
    """Of a symbol the method of Python's that it stands for."""
    return str(getattr(name, "method", name))


class WeakRef(Named):
    """``WeakRef.new(value).deref()``: None once nobody else has it. What Python cannot refer to so, it keeps."""

    def __init__(self, value: object) -> None:
        try:
            self.deref: Callable[[], object] = ref(value)
        except TypeError:
            self.deref = lambda: value


class WeakMap(WeakKeyDictionary[Any, Any]):
    def set(self, key: object, value: object) -> WeakMap:
        self[key] = value
        return self

    def has(self, key: object) -> bool:
        return key in self

    def delete(self, key: object) -> bool:
        return self.pop(key, self) is not self


class WeakSet(_WeakSet[Any], Lookup): ...  # type: ignore[misc,unused-ignore]


def eval(source: object) -> NoReturn:
    """No text becomes code, on Cloudflare neither. Raises JsException (EvalError)."""
    raise JsException("Code generation from strings disallowed for this context", "EvalError")


def reportError(error: object) -> None:
    """Shown as an exception that nobody has caught."""
    report("reportError", error if isinstance(error, BaseException) else JsException(str(error)))


def _text(value: object) -> str:
    from runtime.values import js_string, to_wire

    return value if isinstance(value, str) else js_string(to_wire(value))


def _whole(number: float) -> float:
    return int(number) if number.is_integer() and abs(number) <= Number.MAX_SAFE_INTEGER else number
