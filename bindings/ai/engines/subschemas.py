"""The schemas inside a JSON Schema, wherever a keyword has some; values (``const``, ``enum``) are none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
Change = Callable[[Any, str], Any]
"""``change(subschema, keyword)``: what takes its place. ``keyword`` is the one that it stands under."""

DIRECT = ("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
          "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")  # items: before draft 2020-12
NAMED = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")


def changed(schema: Schema, change: Change) -> Schema:
    """A copy whose schemas, those right below ``schema``, went through ``change``."""
    return {keyword: _changed(keyword, value, change) for keyword, value in schema.items()}


def _changed(keyword: str, value: Any, change: Change) -> Any:
    if keyword in LISTS and isinstance(value, list):
        return [change(inner, keyword) for inner in value]
    if keyword in NAMED and isinstance(value, dict):
        return {name: change(inner, keyword) for name, inner in value.items()}
    return change(value, keyword) if keyword in DIRECT and isinstance(value, dict) else value


def everywhere(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """A copy that went through ``change`` at every depth, the inner schemas first. Booleans are left alone."""
    if not isinstance(schema, dict):
        return schema
    return change(changed(schema, lambda inner, _: everywhere(inner, change)))


def moved(schema: Any, to: str) -> Any:
    """A copy for another place, ``to`` (a pointer such as ``#/properties/a``): its references lead to itself there."""
    if not isinstance(schema, dict) or isinstance(schema.get("$id"), str):  # with an id ``#`` is itself anywhere
        return schema
    copy = changed(schema, lambda inner, _: moved(inner, to))
    where = copy.get("$ref")
    if isinstance(where, str) and (where == "#" or where.startswith("#/")):
        copy["$ref"] = to + where[1:]
    return copy


__all__ = ["Schema", "changed", "everywhere", "moved"]
