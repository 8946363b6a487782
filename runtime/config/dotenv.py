r"""The dialect of ``.dev.vars`` and ``.env``: that of wrangler, which is npm's dotenv 16.3 and dotenv-expand 12.

Not python-dotenv's: there an unquoted ``#`` needs a space before it, backticks do not quote, single quotes hold
escapes and an unset variable in a ``${A}`` looks elsewhere. Both patterns are the originals'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_LINE = re.compile(
    r"""^\s*(?:export\s+)?([a-zA-Z0-9_.-]+)(?:\s*=\s*?|:\s+?)"""
    r"""(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\n]+)?\s*(?:#.*)?$""",
    re.MULTILINE,
)
_QUOTED = re.compile(r"""^(['"`])([\s\S]*)\1$""", re.MULTILINE)
_NAMED = re.compile(r"(?<!\\)\$\{([^{}]+)\}|(?<!\\)\$([A-Za-z_][A-Za-z0-9_]*)")
_OPERATOR = re.compile(r":\+|\+|:-|-")


def parse(text: str) -> tuple[dict[str, str], list[int]]:
    """(the values, the last of a name counts; the numbers of lines that are neither an assignment nor a comment)."""
    text = re.sub(r"\r\n?", "\n", text)
    values, malformed_lines, end = dict[str, str](), list[int](), 0
    for match in _LINE.finditer(text):
        values[match[1]] = _value(match[2] or "")
        malformed_lines += _malformed_lines(text, end, match.start())
        end = match.end()
    return values, [*malformed_lines, *_malformed_lines(text, end, len(text))]


def expand(values: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """With ``$A``, ``${A}``, ``${A:-else}`` and ``${A:+then}`` written out, from ``environment`` and from the values
    above; a value that ``environment`` has too is its."""
    known: dict[str, str] = {}
    for name, value in values.items():
        known[name] = (environment.get(name) or _expanded(value, environment, known)).replace(r"\$", "$")
    return known


def _value(text: str) -> str:
    text = text.strip()
    value = _QUOTED.sub(r"\2", text)
    return value.replace(r"\n", "\n").replace(r"\r", "\r") if text.startswith('"') else value


def _expanded(value: str, environment: Mapping[str, str], known: Mapping[str, str]) -> str:
    """What a variable stands for is looked at again, but for what has been there before."""
    seen: set[str] = set()
    while value not in seen and (match := _NAMED.search(value)):
        seen.add(value)
        name, operator, rest = _split(match[1] or match[2])
        found = environment.get(name) or known.get(name) or ""
        if operator in (":+", "+"):
            found, rest = "", rest if found else ""
        put = found if found and found not in seen else rest
        value = value[: match.start()] + put.replace("$$", "$") + value[match.end() :]  # as String.replace does
        if value == known.get(name):
            break
    return value


def _split(expression: str) -> tuple[str, str, str]:
    """``A:-b`` → A, :-, b."""
    match = _OPERATOR.search(expression)
    return (expression[: match.start()], match[0], expression[match.end() :]) if match else (expression, "", "")


def _malformed_lines(text: str, start: int, end: int) -> Iterator[int]:
    for number, line in enumerate(text[start:end].split("\n"), text.count("\n", 0, start) + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number


__all__ = ["expand", "parse"]
