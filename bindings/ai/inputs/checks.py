"""Complaints about inputs, worded like the service's own (docs/reference/workers-ai.md#text-generation, #complaints).

Every check is a generator of complaints, so that a caller may stop after a few: a body with a million bad
messages costs no more than one with ten. ``at`` is the JSON Pointer of what is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeGuard

import msgspec

from runtime.hints import close_to

MAX_COMPLAINTS = 8  # in one answer: a body of a million bad messages is answered briefly
Fields = dict[str, Any]
Range = tuple[str, float, float]

RANGES: dict[str, Range] = {  # docs/reference/workers-ai.md#text-generation
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
NEWER_RANGES: dict[str, Range] = {
    **RANGES,
    "top_p": ("number", 0.001, 1),
    "frequency_penalty": ("number", -2, 2),
    "presence_penalty": ("number", -2, 2),
}
OPENAI_RANGES: dict[str, Range] = {  # OpenAI's own, where they are wider: its clients send what it takes
    **NEWER_RANGES,
    "top_p": ("number", 0, 1),
    "seed": ("integer", -(2**63), 2**63 - 1),
    "n": ("integer", 1, 128),
    "best_of": ("integer", 1, 128),
    "top_logprobs": ("integer", 0, 20),
}
ANTHROPIC_RANGES: dict[str, Range] = {**OPENAI_RANGES, "top_k": ("integer", 1, 2**31 - 1)}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
FLAGS = ("raw", "stream", "ignore_eos", "parallel_tool_calls")
_TABLES = {id(table): table for table in (RANGES, NEWER_RANGES, OPENAI_RANGES, ANTHROPIC_RANGES)}
_BESIDE_OTHERS = ("n", "best_of")  # are checked against each other as well
_KINDS: dict[str, type] = {"integer": int, "number": float}
_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """A role and a text."""

    role: _NonEmpty
    content: str


def are_usual(fields: Fields, ranges: dict[str, Range]) -> bool:
    """Whether they are a prompt or messages and plain options, all within ``ranges``, one of the tables above."""
    try:
        msgspec.convert(fields, _schema(id(ranges)))
    except (msgspec.ValidationError, OverflowError):
        return False
    return True


@cache
def _schema(table: int) -> type[msgspec.Struct]:
    ranges = {name: limits for name, limits in _TABLES[table].items() if name not in _BESIDE_OTHERS}
    options = [(name, _within(*limits), None) for name, limits in ranges.items()]
    flags = [("raw", bool, None), ("stream", bool, None)]
    asked = [("prompt", _NonEmpty, None), ("messages", Annotated[list[_Message], msgspec.Meta(min_length=1)], None)]
    return msgspec.defstruct("Usual", [*asked, *flags, *options], forbid_unknown_fields=True)


def _within(kind: str, low: float, high: float) -> object:
    return Annotated[_KINDS[kind], msgspec.Meta(ge=low, le=high)]


def options(fields: Fields, ranges: dict[str, Range]) -> Iterator[str]:
    """What is wrong with the options among ``fields`` (nulls already taken out), one sentence each."""
    for name in FLAGS:
        if name in fields:
            yield from boolean(fields[name], f"/{name}")
    for name, limits in ranges.items():
        if name in fields:
            yield from number(fields[name], f"/{name}", *limits)
    for name in ("chat_template_kwargs", "stream_options"):
        if not isinstance(fields.get(name, {}), dict):
            yield mismatch(f"/{name}", fields[name], "object")
    if fields.get("reasoning_effort", "low") not in EFFORTS:
        yield f"'/reasoning_effort' must be one of '{', '.join(EFFORTS)}'"
    if "lora" in fields:
        yield from text(fields["lora"], "/lora")
    yield from _stop(fields.get("stop", []))
    yield from _logit_bias(fields.get("logit_bias", {}))


def text(value: object, at: str) -> Iterator[str]:
    """A string that is not empty."""
    if not isinstance(value, str):
        yield mismatch(at, value, "string")
    elif not value:
        yield f"Length of '{at}' must be >= 1"


def boolean(value: object, at: str) -> Iterator[str]:
    if not isinstance(value, bool) and value not in ("true", "false"):  # Cloudflare's own curl sends strings
        yield mismatch(at, value, "boolean")


def number(value: object, at: str, kind: str, low: float, high: float) -> Iterator[str]:
    """``kind``: ``number``, or ``integer``, which a float such as 1.0 is too."""
    if not _is_number(value, kind):
        yield mismatch(at, value, kind)
    elif not low <= value <= high:  # NaN is in no range
        yield f"'{at}' must be between {low} and {high}"


def _is_number(value: object, kind: str) -> TypeGuard[float]:
    if isinstance(value, float):
        return kind == "number" or value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _stop(stop: object) -> Iterator[str]:
    if not isinstance(stop, str | list):
        yield mismatch("/stop", stop, "string,array")
    elif isinstance(stop, list):
        for index, word in enumerate(stop):
            yield from text(word, f"/stop/{index}")


def _logit_bias(biases: object) -> Iterator[str]:
    """Token ids as JSON has them, in strings."""
    if not isinstance(biases, dict):
        yield mismatch("/logit_bias", biases, "object")
        return
    for token, bias in biases.items():
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            yield f"'/logit_bias' has a key that is no token id: '{token[:32]}'"
        yield from number(bias, f"/logit_bias/{token[:32]}", "number", -100, 100)


def mismatch(at: str, value: object, expected: str) -> str:
    """The service's words for a value of the wrong JSON type."""
    return f"Type mismatch of '{at}', '{_json_type(value)}' not in '{expected}'"


def required(at: str, *names: str) -> str:
    return f"required properties at '{at}' are '{','.join(names)}'"


def absent(fields: Fields, at: str, *names: str) -> str:
    """As ``required``, and which of ``fields`` may have been meant."""
    others = (name for name in islice(fields, 20) if isinstance(name, str) and name not in names)
    meant = [f"'{name}' is unknown{hint}" for name in others if (hint := close_to(name, names))]
    return ": ".join([required(at, *names), *meant[:1]])


JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def _json_type(value: object) -> str:
    return "null" if value is None else JSON_TYPES.get(type(value), "string")


__all__ = [
    "ANTHROPIC_RANGES",
    "NEWER_RANGES",
    "OPENAI_RANGES",
    "RANGES",
    "Fields",
    "Range",
    "absent",
    "are_usual",
    "boolean",
    "mismatch",
    "number",
    "options",
    "required",
    "text",
]
