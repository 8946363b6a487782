"""What ``JSON.parse`` says of text that is no JSON, in V8's words."""

from __future__ import annotations

import re

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile("[0-9A-Fa-f]{0,4}")
_DIGITS = re.compile("[0-9]*")
_WORDS = {"t": "true", "f": "false", "n": "null"}
_SHOWN_WHOLE = ("NaN", "Infinity", "undefined", "[object Object]")
_AFTER = "Unexpected non-whitespace character after JSON"
_CONTEXT = 10  # characters shown on either side of a token
_MAX_SCANNED = 100_000  # characters; of what is longer, the token alone is named


class _WrongError(Exception):
    """``at`` is an index. Without ``what`` it is the token there that nobody expects."""

    def __init__(self, at: int, what: str = "") -> None:
        self.at, self.what = at, what
        super().__init__(what)


def complaint(text: str, error: Exception) -> str:
    """Of text that is no JSON; ``error`` is what Python's parser raised."""
    if text in _SHOWN_WHOLE:
        return f'"{text}" is not valid JSON'
    what, at = "", getattr(error, "pos", 0)
    if text[at : at + 1] == "," and "trailing" in str(error):  # Python 3.13's points there, JavaScript's behind it
        at = _skipped(text, at + 1)
    if len(text) <= _MAX_SCANNED:
        try:
            _scan(text)
        except _WrongError as wrong:
            at, what = wrong.at, wrong.what
    return _placed(what, text, at) if what else _token(text, at)


def _placed(what: str, text: str, at: int) -> str:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"{what}{'' if what == _AFTER else ' in JSON'} at position {at} (line {line} column {column})"


def _token(text: str, at: int) -> str:
    if at >= len(text):
        return "Unexpected end of JSON input"
    if text[at] in '"-0123456789':
        return _placed("Unexpected string" if text[at] == '"' else "Unexpected number", text, at)
    whole = len(text) <= 2 * _CONTEXT
    start, end = (0, len(text)) if whole else (max(0, at - _CONTEXT), min(len(text), at + _CONTEXT))
    before, after = "..." if start else "", "..." if end < len(text) else ""
    return f"Unexpected token '{text[at]}', {before}\"{text[start:end]}\"{after} is not valid JSON"


def _scan(text: str) -> None:
    """Raises _WrongError at the first place that is wrong."""
    at, closes = 0, list[str]()  # the brackets that are to come, the innermost last
    while True:
        at = _skipped(text, at)
        if (char := text[at : at + 1]) and char in "{[":
            closes.append("}" if char == "{" else "]")
            at = _skipped(text, at + 1)
            if text[at : at + 1] != closes[-1]:
                at = _name(text, at, "Expected property name or '}'") if char == "{" else at
                continue
        else:
            at = _scalar(text, at)
        at = _closed(text, at, closes)
        if not closes:
            break
        at = _next(text, at, closes[-1])
    if at < len(text):
        raise _WrongError(at, _AFTER)


def _skipped(text: str, at: int) -> int:
    return _end(_SPACE, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Of what may be empty."""
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _closed(text: str, at: int, closes: list[str]) -> int:
    """After the brackets that close here."""
    at = _skipped(text, at)
    while closes and text[at : at + 1] == closes[-1]:
        closes.pop()
        at = _skipped(text, at + 1)
    return at


def _next(text: str, at: int, close: str) -> int:
    """After a comma, and in an object after a name."""
    if text[at : at + 1] != ",":
        raise _WrongError(
            at, f"Expected ',' or '{close}' after {'property value' if close == '}' else 'array element'}"
        )
    return _name(text, _skipped(text, at + 1), "Expected double-quoted property name") if close == "}" else at + 1


def _name(text: str, at: int, missing: str) -> int:
    if text[at : at + 1] != '"':
        raise _WrongError(at, missing)
    at = _skipped(text, _string(text, at))
    if text[at : at + 1] != ":":
        raise _WrongError(at, "Expected ':' after property name")
    return at + 1


def _scalar(text: str, at: int) -> int:
    char = text[at : at + 1]
    if char == '"':
        return _string(text, at)
    if char and char in "-0123456789":
        return _number(text, at)
    if char not in _WORDS:
        raise _WrongError(at)
    for expected in _WORDS[char]:
        if text[at : at + 1] != expected:
            raise _WrongError(at)
        at += 1
    return at


def _number(text: str, at: int) -> int:
    at += text[at] == "-"
    end = _some_digits(text, at, "No number after minus sign")
    if text[at] == "0" and end > at + 1:
        raise _WrongError(at + 1, "Unexpected number")
    if text[end : end + 1] == ".":
        end = _some_digits(text, end + 1, "Unterminated fractional number")
    if text[end : end + 1] in ("e", "E"):
        end += 1 + (text[end + 1 : end + 2] in ("+", "-"))
        end = _some_digits(text, end, "Exponent part is missing a number")
    return end


def _some_digits(text: str, at: int, missing: str) -> int:
    if (end := _end(_DIGITS, text, at)) == at:
        raise _WrongError(at, missing)
    return end


def _string(text: str, at: int) -> int:
    at += 1
    while True:
        at = _end(_PLAIN, text, at)
        char = text[at : at + 1]
        if char == '"':
            return at + 1
        if char != "\\":
            raise _WrongError(at, "Bad control character in string literal" if char else "Unterminated string")
        at = _escape(text, at + 1)


def _escape(text: str, at: int) -> int:
    char = text[at : at + 1]
    if char == "u":
        if (end := _end(_HEX, text, at + 1)) < at + 5:
            raise _WrongError(end, "Bad Unicode escape")
        return end
    if not char:
        raise _WrongError(at)
    if char not in '"\\/bfnrt':
        raise _WrongError(at, "Bad escaped character")
    return at + 1


__all__ = ["complaint"]
