"""Complaints about text-generation inputs, worded like the service's own (contract §1.3, §1.4).

Every check is a generator of complaints, so that a caller may stop after a few: a body with a million bad
messages costs no more than one with ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Fields = dict[str, Any]
Range = tuple[str, float, float]

RANGES: dict[str, Range] = {  # contract §1.3
    "max_tokens": ("integer", 1, 2**31 - 1),
    "max_completion_tokens": ("integer", 1, 2**31 - 1),
    "temperature": ("number", 0, 5),
    "top_p": ("number", 0, 2),
    "top_k": ("integer", 1, 50),
    "seed": ("integer", 1, 9999999999),
    "repetition_penalty": ("number", 0, 2),
    "frequency_penalty": ("number", 0, 2),
    "presence_penalty": ("number", 0, 2),
}
OPENAI_RANGES: dict[str, Range] = {
    **RANGES,
    "top_p": ("number", 0.001, 1),
    "frequency_penalty": ("number", -2, 2),
    "presence_penalty": ("number", -2, 2),
}


def text_generation(fields: Fields, ranges: dict[str, Range]) -> Iterator[str]:
    """What is wrong with ``fields`` (nulls already taken out), one sentence each."""
    if "prompt" not in fields and "messages" not in fields:
        yield "required properties at '/' are 'prompt'"
        yield "required properties at '/' are 'messages'"
    if "prompt" in fields:
        yield from _text(fields["prompt"], "/prompt")
    if "messages" in fields:
        yield from _messages(fields["messages"])
    for name in ("raw", "stream"):
        if name in fields:
            yield from _boolean(fields[name], f"/{name}")
    for name, limits in ranges.items():
        if name in fields:
            yield from _number(fields[name], f"/{name}", *limits)
    yield from _stop(fields.get("stop", []))


def _messages(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list):
        yield mismatch("/messages", messages, "array")
    elif not messages:
        yield "Length of '/messages' must be >= 1"
    else:
        for number, message in enumerate(messages):
            yield from _message(message, f"/messages/{number}")


def _message(message: Any, at: str) -> Iterator[str]:
    if not isinstance(message, dict):
        yield mismatch(at, message, "object")
        return
    if missing := [name for name in ("role", "content") if message.get(name) is None]:
        yield f"required properties at '{at}' are '{','.join(missing)}'"
        return
    if message.get("tool_calls"):
        yield f"'{at}/tool_calls' is not served here"
    yield from _text(message["role"], f"{at}/role")
    yield from _content(message["content"], f"{at}/content")


def _content(content: Any, at: str) -> Iterator[str]:
    if isinstance(content, str):
        return
    if not isinstance(content, list | dict):
        yield mismatch(at, content, "string,array")
    for number, part in enumerate(parts(content)):
        where = f"{at}/{number}"
        if not isinstance(part, dict):
            yield mismatch(where, part, "object")
        elif (part.get("type") or "text") != "text":
            yield f"'{where}' of type '{str(part['type'])[:32]}' is not served here"
        elif not isinstance(part.get("text"), str):
            yield f"required properties at '{where}' are 'text'"


def _text(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield mismatch(at, value, "string")
    elif not value:
        yield f"Length of '{at}' must be >= 1"


def _boolean(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, bool) and value not in ("true", "false"):  # Cloudflare's own curl sends strings
        yield mismatch(at, value, "boolean")


def _number(value: Any, at: str, kind: str, low: float, high: float) -> Iterator[str]:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not (whole or (kind == "number" and isinstance(value, float))):
        yield mismatch(at, value, kind)
    elif not low <= value <= high:  # NaN is in no range
        yield f"'{at}' must be between {low} and {high}"


def _stop(stop: Any) -> Iterator[str]:
    if not isinstance(stop, str | list):
        yield mismatch("/stop", stop, "string,array")
    elif isinstance(stop, list):
        for number, text in enumerate(stop):
            yield from _text(text, f"/stop/{number}")


def mismatch(at: str, value: Any, wanted: str) -> str:
    """The service's words for a value of the wrong JSON type."""
    return f"Type mismatch of '{at}', '{_kind(value)}' not in '{wanted}'"


KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS.get(type(value), "string")


def parts(content: Any) -> list[Any]:
    """The parts of a message's content: a list of them, or a single bare one."""
    return content if isinstance(content, list) else [content] if isinstance(content, dict) else []


__all__ = ["OPENAI_RANGES", "RANGES", "Fields", "Range", "mismatch", "parts", "text_generation"]
