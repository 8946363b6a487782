"""Types of settings: msgspec judges, we say where and what to type."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from runtime.config.source import Source
from runtime.errors import ConfigError
from runtime.hints import close_to

T = TypeVar("T")
Path = tuple[str | int, ...]

_TYPE_WORDS = {
    "array": "an array",
    "bool": "true or false",
    "date": "a TOML date",
    "datetime": "a TOML date",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "a table",
    "str": "a string",
    "time": "a TOML time",
}


def typed(source: Source, path: Path, value: object, kind: type[T]) -> T:
    """``value`` as a ``kind``, or a ``ConfigError`` that names the exact place under ``path``."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _explain(source, path, value, kind, str(error)) from None


def unknown(source: Source, path: Path, known: Collection[str], field: str) -> ConfigError:
    """A complaint about the setting ``field``, which is none of the ``known`` ones."""
    remedy = f"Known here: {', '.join(known)}" if known else ""
    return source.error(path, f"has no setting '{field}'{close_to(field, known)}", remedy)


def _explain(source: Source, path: Path, value: object, kind: type, message: str) -> ConfigError:
    message, _, place = message.partition(" - at ")
    steps = [step or int(index) for step, index in re.findall(r"\.(\w+)|\[(\d+)\]", place)]
    found = _walk(value, steps)
    path = (*path, *steps)
    if missing := re.fullmatch(r"Object missing required field `(.+)`", message):
        return _missing(source, path, found, missing[1])
    if strange := re.fullmatch(r"Object contains unknown field `(.+)`", message):
        return unknown(source, path, getattr(kind, "__struct_encode_fields__", ()), strange[1])
    if wrong := re.fullmatch(r"Expected `(.+)`, got `(.+)`", message):
        what = f"must be {_words(wrong[1])}, not {_words(wrong[2])}"
        if isinstance(path[-1], int):  # a plain item, not a [[table]]
            path = (*path[:-2], f"{path[-2]}[{path[-1]}]")
        return source.error(path, what, _quote(source, path, found) if "str" in wrong[1] else "")
    message = re.sub(r"`(\w+)`", lambda match: _TYPE_WORDS.get(match[1], match[0]), message)
    return source.error(path, f"must be {message.removeprefix('Expected ')}")


def _missing(source: Source, path: Path, found: object, field: str) -> ConfigError:
    typo = next((key for key in found if close_to(key, [field])), None) if isinstance(found, dict) else None
    remedy = f"It says '{typo}': write '{field}'." if typo else source.line(field, "NAME")
    return source.error(path, f"has no '{field}'", remedy)


def _quote(source: Source, path: Path, found: object) -> str:
    """For a value that only lacks its quotes, the line that has them."""
    if isinstance(found, (dict, list, str)) or not path or isinstance(path[-1], int):
        return ""
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return source.line(str(path[-1]), text).replace("Add:", "Write:") if found is not None else ""


def _walk(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _words(kinds: str) -> str:
    named = [kind for kind in kinds.split(" | ") if kind != "null"] or ["null"]
    return " or ".join(_TYPE_WORDS.get(kind, kind) for kind in named)
