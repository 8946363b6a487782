"""``_headers``: a path, and below it the headers that answers there are given.

https://developers.cloudflare.com/workers/static-assets/headers/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from bindings.assets.rules.patterns import MAX_LINE_CHARS, Pattern, Problem, filled, url_of

RawHeaders = list[tuple[bytes, bytes]]
Warn = Callable[[int, str], None]  # line, what

MAX_RULES = 100
_A_PATH = re.compile(r"\S+://|/")
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class _Rule(msgspec.Struct):
    pattern: Pattern
    line: int
    set: dict[str, str] = {}
    unset: list[str] = []


class HeaderRules:
    """``text``: the file's. A line that cannot be used is told to ``warn`` and counts for nothing."""

    def __init__(self, text: str = "", warn: Warn = lambda line, what: None) -> None:
        self._rules: list[_Rule] = []
        self._rule: _Rule | None = None  # the one that is being read
        self._skipping = False  # the lines of a rule whose path is wrong
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._read(number, line.strip())
            except Problem as problem:
                warn(number, str(problem))
        self._rules = list(_last(self._rules, warn))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def apply(self, host: str, path: str, headers: RawHeaders) -> RawHeaders:
        """``headers`` as every rule that matches has them, in the order of the file."""
        ours: set[bytes] = set()  # a header that a rule has set is added to, any other is replaced
        for rule in self._rules:
            values = rule.pattern.match(host, path)
            if values is None:
                continue
            headers = [pair for pair in headers if pair[0].decode("latin-1") not in rule.unset]
            for name, value in rule.set.items():
                headers = _set(headers, name.encode(), _bytes(filled(value, values)), ours)
        return headers

    def _read(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if len(line) > MAX_LINE_CHARS:
            raise Problem(f"is ignored: a line has {MAX_LINE_CHARS} characters at most")
        if _A_PATH.match(line):
            self._begin(number, line)
        elif not self._skipping:
            self._header(line)

    def _begin(self, number: int, line: str) -> None:
        self._skipping, self._rule = True, None
        if len(self._rules) >= MAX_RULES:
            raise Problem(f"is ignored: {MAX_RULES} rules are the most")
        path = url_of(line, ports=False)
        if path.count("*") > 1:
            raise Problem(f"{path} has more than one *; use placeholders (:name)")
        if "*" in path and re.search(r":splat(?!\w)", path):
            raise Problem(f"{path} has both * and :splat, which is what the * is called")
        self._rule = _Rule(Pattern(path), number)
        self._rules.append(self._rule)
        self._skipping = False

    def _header(self, line: str) -> None:
        rule = self._rule
        name, colon, value = (part.strip() for part in line.partition(":"))
        if rule is None:
            raise Problem(f"{line} stands before any path")
        if not colon:
            if not line.startswith("! "):
                raise Problem(f"{line} is no header; write  Name: value")
            rule.unset.append(line[2:].strip().lower())
            return
        name = name.lower()
        if not _NAME.fullmatch(name):
            raise Problem(f"{name!r} cannot be the name of a header")
        if not value or _CONTROL.search(value):
            raise Problem(f"{name} has no value" if not value else f"{name}'s value has a control character")
        rule.set[name] = f"{rule.set[name]}, {value}" if name in rule.set else value


def _last(rules: list[_Rule], warn: Warn) -> Iterator[_Rule]:
    """Of a path that stands there twice the last rule, in the place of the first, as upstream has it."""
    by_path: dict[str, _Rule] = {}
    for rule in rules:
        if not (rule.set or rule.unset):
            warn(rule.line, "no headers are given for this path")
        else:
            if rule.pattern.text in by_path:
                warn(rule.line, f"{rule.pattern.text} stands there twice: these headers alone count")
            by_path[rule.pattern.text] = rule
    yield from by_path.values()


def _set(headers: RawHeaders, name: bytes, value: bytes, ours: set[bytes]) -> RawHeaders:
    if name in ours and name == b"set-cookie":
        return [*headers, (name, value)]
    if name in ours:
        return [(key, old + b", " + value) if key == name else (key, old) for key, old in headers]
    ours.add(name)
    return [*(pair for pair in headers if pair[0] != name), (name, value)]


def _bytes(value: str) -> bytes:
    """A placeholder's value comes from the request's path: whatever it is, it stays one line."""
    return _CONTROL.sub("", value).encode("utf-8", "replace")


__all__ = ["HeaderRules", "RawHeaders", "Warn"]
