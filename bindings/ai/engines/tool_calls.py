"""Calls that a model writes into its text, as ``tool_prompt`` explained them, found again.

A call ends where its JSON ends: the closing tag may stand in a string of the arguments, or be missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn
from uuid import uuid4

Json = dict[str, Any]

START, END = "<tool_call>", "</tool_call>"
_NAME, _ARGUMENTS = r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)+")', r'\s*,\s*"arguments"\s*:\s*(\{.*)'
_TRUNCATED_CALL = re.compile(rf'{_NAME}(?:{_ARGUMENTS}|[\s,"argumnts:]*)\Z', re.DOTALL)
_SPACE, _TAG = re.compile(r"\s*"), re.compile(rf"\s*{END}")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(strict=False, parse_constant=_no_number)  # models write line ends into strings


class ToolCallReader:
    """Reads one answer: text before the first call passes as it comes, the rest when the answer is complete.

    ``bare``: the whole answer is a call, without tags.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self._held, self._calling, self._bare = "", bare, bare

    def read(self, text: str, *, last: bool, cut: bool = False) -> tuple[str, list[Json]]:
        """(text to show, calls in OpenAI's stream form). ``cut``: the tokens ran out, perhaps within a call."""
        self._held += text
        shown = "" if self._calling else self._before_calls(last)
        if not (last and self._calling):
            return shown, []
        content, calls = _split(START + self._held if self._bare else self._held, cut)
        if self._bare and not calls:
            content = self._held
        return shown + content, [call_of(call, number) for number, call in enumerate(calls)]

    def _before_calls(self, last: bool) -> str:
        """What is certainly no beginning of a call."""
        at = self._held.find(START)
        self._calling = at >= 0
        if not self._calling:
            at = len(self._held) - (0 if last else overlap(self._held, START))
        shown, self._held = self._held[:at], self._held[at:]
        return shown


def overlap(text: str, tag: str) -> int:
    """How many of the last characters of ``text`` may be the beginning of ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


def _split(text: str, cut: bool) -> tuple[str, list[Json]]:
    """(the content around the calls, the calls: each a ``name`` and ``arguments``, JSON as text)."""
    content, calls, at = "", list[Json](), 0
    while (start := text.find(START, at)) >= 0:
        found, end = _read(text, start + len(START), cut)
        between = text[at:start] if found else text[at:end]
        content += between if between.strip() else ""
        calls += found
        at = end
    rest = text[at:]
    return content + (rest if rest.strip() else ""), calls


def _read(text: str, at: int, cut: bool) -> tuple[list[Json], int]:
    """(the calls that begin here, where they end); none, and ``at`` itself, where this is no call."""
    try:
        value, end = _decoder.raw_decode(text, _SPACE.match(text, at).end())  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        return _truncated_call(text, at) if cut else ([], at)
    found = [*_calls_in(value)]
    tag = _TAG.match(text, end)
    return (found, tag.end() if tag else end) if found else ([], at)


def _truncated_call(text: str, at: int) -> tuple[list[Json], int]:
    """A call with the part of its arguments that there is."""
    match = _TRUNCATED_CALL.match(text, at)
    if match is None:
        return [], at
    return [{"name": json.loads(match[1], strict=False), "arguments": match[2] or ""}], len(text)


def _calls_in(value: object) -> Iterator[Json]:
    """A call, or a list of some."""
    for call in value if isinstance(value, list) else [value]:
        if isinstance(call, dict) and isinstance(call.get("name"), str):
            arguments = call.get("arguments") or {}
            text = (
                arguments
                if isinstance(arguments, str)
                else json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
            )
            yield {"name": call["name"], "arguments": text}


def call_of(function: Json, number: int, id: str | None = None) -> Json:
    """In OpenAI's stream form. ``function``: its ``name`` and ``arguments``, JSON as text."""
    return {"index": number, "id": id or f"call_{uuid4().hex[:24]}", "type": "function", "function": function}


__all__ = ["END", "START", "Json", "ToolCallReader", "call_of", "overlap"]
