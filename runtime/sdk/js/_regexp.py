"""``RegExp``, by Python's ``re``: a pattern is written anew in its syntax."""

from __future__ import annotations

import re

from runtime.values import JsArray, JsDict, JsException, Named

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_KNOWN_FLAGS = frozenset("dgimsuvy")
_SPACE = r" \t\n\r\f\v\u00a0\ufeff\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LINE_END = r"\n\r\u2028\u2029"
_TOKEN = re.compile(
    r"\\u\{(?P<point>[0-9A-Fa-f]+)\}|\\k<(?P<back>\w+)>|\\c(?P<control>[A-Za-z])|\\(?P<escaped>.)|\(\?<(?P<name>[A-Za-z_$][\w$]*)>"
    r"|(?P<empty>\[\]|\[\^\])|(?P<char>.)",
    re.DOTALL,
)
_SAME = frozenset("dDwWbBnrtfvxu0123456789")  # escapes that mean the same; another letter is itself


class RegExp(Named):
    """``RegExp.new("a(?<rest>.*)", "i")``: ``test``, ``exec``, ``lastIndex`` of ``g`` and ``y``.

    Positions count characters. Raises JsException (SyntaxError) for no pattern, and for what Python has none
    of: classes of Unicode's, lookbehinds of no fixed width.
    """

    def __init__(self, pattern: object = "(?:)", flags: str | None = None) -> None:
        of = pattern if isinstance(pattern, RegExp) else None
        self.source: str = str(pattern) if of is None else of.source
        self.flags: str = "".join(sorted((of.flags if of else "") if flags is None else flags))
        self.lastIndex = 0
        if len(set(self.flags)) < len(self.flags) or set(self.flags) - _KNOWN_FLAGS:
            raise JsException(f"Invalid flags supplied to RegExp constructor '{flags}'", "SyntaxError")
        for letter, name in zip("dgimsuy", _FLAG_NAMES, strict=True):
            setattr(self, name, letter in self.flags)
        self._compiled = self._written()

    def _written(self) -> re.Pattern[str]:
        options = re.ASCII if "i" not in self.flags or "u" not in self.flags else re.NOFLAG
        for letter in _FLAGS.keys() & set(self.flags):
            options |= _FLAGS[letter]
        try:
            return re.compile(_translated(self.source, self.flags), options)
        except (re.error, OverflowError, _MissingError) as error:
            what = f"Invalid regular expression: /{self.source}/{self.flags}: {error}"
            raise JsException(what, "SyntaxError") from None

    def exec(self, text: object = None) -> JsArray | None:
        """The match and its groups, with ``index``, ``input`` and ``groups``. None: there is none."""
        searched, moves = str(text), "g" in self.flags or "y" in self.flags
        start = self.lastIndex if moves else 0
        find = self._compiled.match if "y" in self.flags else self._compiled.search
        found = find(searched, start) if start <= len(searched) else None
        if moves:
            self.lastIndex = found.end() if found else 0
        return None if found is None else _matched(found, searched)

    def test(self, text: object = None) -> bool:
        return self.exec(text) is not None

    def toString(self) -> str:
        return f"/{self.source}/{self.flags}"

    __str__ = __repr__ = toString


_FLAG_NAMES = ("hasIndices", "global", "ignoreCase", "multiline", "dotAll", "unicode", "sticky")


class _Matched(JsArray):
    index: int  # type: ignore[assignment]
    input: str
    groups: JsDict | None


class _MissingError(Exception):
    """Python's ``re`` has no such thing."""


def _matched(found: re.Match[str], text: str) -> JsArray:
    made = _Matched([found[0], *found.groups()])
    made.index, made.input = found.start(), text
    made.groups = JsDict(found.groupdict()) if found.re.groupindex else None
    return made


def _translated(source: str, flags: str) -> str:
    """In Python's syntax."""
    written, inside = [], False
    for token in _TOKEN.finditer(source):
        text = _token(token, flags, inside)
        inside = (inside or token[0] == "[") and not (inside and token[0] == "]")
        written.append(text)
    return "".join(written)


def _token(token: re.Match[str], flags: str, inside: bool) -> str:
    if token["point"]:
        return re.escape(chr(int(token["point"], 16)))
    if token["control"]:
        return f"\\x{ord(token['control']) % 32:02x}"
    if token["escaped"]:
        return _escape(token["escaped"], flags, inside)
    if inside:
        return "\\[" if token[0] == "[" else "\\" + token[0] if token[0] in "&~|" else token[0]
    if token["back"]:
        return f"(?P={token['back']})"
    if token["name"]:
        return f"(?P<{token['name']}>"
    if token["empty"]:
        return "(?!)" if token["empty"] == "[]" else r"[\s\S]"
    if token[0] == "." and "s" not in flags:
        return f"[^{_LINE_END}]"
    return r"\Z" if token[0] == "$" and "m" not in flags else token[0]


def _escape(char: str, flags: str, inside: bool) -> str:
    if char in "sS":
        return _SPACE if inside and char == "s" else "\\S" if inside else f"[{'^' if char == 'S' else ''}{_SPACE}]"
    if char in "pP" and set("uv") & set(flags):
        raise _MissingError(f"\\{char}{{...}} is not here; the package regex has it")
    return f"\\{char}" if char in _SAME or not char.isalpha() else char


__all__ = ["RegExp"]
