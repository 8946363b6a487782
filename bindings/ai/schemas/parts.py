"""The pieces that JSON Schemas are put together from."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
ANY_TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
EVENTS: Schema = {"type": "string", "contentType": "text/event-stream", "format": "binary"}
FILE: Schema = {
    "anyOf": [
        {"type": "string", "format": "binary", "minLength": 1},
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 1},
    ]
}


def shape(properties: dict[str, Schema], *required: str, **more: Any) -> Schema:
    return {"type": "object", **more, "properties": properties, **({"required": list(required)} if required else {})}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def usage() -> Schema:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return shape(dict.fromkeys(names, COUNT), *names)


__all__ = ["ANY_TEXT", "COUNT", "EVENTS", "FILE", "NUMBER", "OBJECT", "TEXT", "Schema", "array", "shape", "usage"]
