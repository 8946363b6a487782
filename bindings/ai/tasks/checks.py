"""Complaints about the inputs of the other tasks, worded like the service's own.

Facts: docs/reference/workers-ai.md#complaints, #tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.inputs.checks import MAX_COMPLAINTS, Fields, absent, mismatch, text


def fields_of(inputs: object) -> Fields:
    """The inputs as an object without its nulls, which mean absent. Raises ModelError 5006."""
    if not isinstance(inputs, dict):
        raise bad_input(mismatch("/", inputs, "object"))
    return {key: value for key, value in inputs.items() if value is not None}


def refuse(complaints: Iterator[str]) -> None:
    """Raise ModelError 5006 with the first complaints, if there are any."""
    if first := list(islice(complaints, MAX_COMPLAINTS)):
        raise bad_input(", ".join(first))


def missing(fields: Fields, *names: str) -> str:
    return absent(fields, "/", *names)


def texts(value: object, at: str, max_items: int) -> Iterator[str]:
    """One text, or a list of at most ``max_items``."""
    if isinstance(value, str):
        yield from text(value, at)
    elif not isinstance(value, list):
        yield mismatch(at, value, "string,array")
    else:
        yield from _length(value, at, max_items)
        for number, item in enumerate(value):
            yield from text(item, f"{at}/{number}")


def contexts(value: object, at: str, max_items: int) -> Iterator[str]:
    """``[{"text": …}, …]``, as rerankers take them."""
    if not isinstance(value, list):
        yield mismatch(at, value, "array")
        return
    yield from _length(value, at, max_items)
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            yield mismatch(f"{at}/{number}", item, "object")
        elif item.get("text") is None:
            yield f"required properties at '{at}/{number}' are 'text'"
        else:
            yield from text(item["text"], f"{at}/{number}/text")


def integer(value: object, at: str, low: int) -> Iterator[str]:
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        yield mismatch(at, value, "integer")
    elif value < low:
        yield f"'{at}' must be >= {low}"


def boolean(value: object, at: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield mismatch(at, value, "boolean")


def choice(value: object, at: str, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        yield f"'{at}' must be one of '{','.join(known)}'"


def _length(value: list[Any], at: str, max_items: int) -> Iterator[str]:
    if not value:
        yield f"Length of '{at}' must be >= 1"
    elif len(value) > max_items:
        yield f"Length of '{at}' must be <= {max_items}"


__all__ = ["boolean", "choice", "contexts", "fields_of", "integer", "missing", "refuse", "text", "texts"]
