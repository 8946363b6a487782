"""JSON mode: which schema an answer is to meet, and whether it did.

Facts: docs/reference/workers-ai.md#text-generation, #answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from bindings.ai.error_table import JSON_UNMET
from bindings.ai.errors import ModelError
from bindings.ai.inputs import strict
from bindings.ai.inputs.checks import Fields, mismatch, required
from bindings.ai.inputs.schema_cost import is_bounded

if TYPE_CHECKING:
    from jsonschema_rs import Validator

FORMATS = ("text", "json_object", "json_schema")
MAX_SCHEMA_BYTES = 100_000
MAX_BACKTRACKS = 100_000  # of a regular expression in a schema, which may not hold the server up


def complaints(fields: Fields) -> Iterator[str]:
    """What is wrong with ``response_format`` and ``guided_json`` among ``fields``."""
    response_format = fields.get("response_format", {"type": "text"})
    if not isinstance(response_format, dict):
        yield mismatch("/response_format", response_format, "object")
        return
    if response_format.get("type") not in FORMATS:
        yield f"'/response_format/type' must be one of '{', '.join(FORMATS)}'"
    elif response_format["type"] == "json_schema" and response_format.get("json_schema") is None:
        yield required("/response_format", "json_schema")
    elif response_format.get("json_schema") is not None:
        yield from _schema(response_format["json_schema"], "/response_format/json_schema")
    if "guided_json" in fields:
        yield from _schema(fields["guided_json"], "/guided_json")


def schema(fields: Fields) -> Fields | None:
    """The schema that checked ``fields`` ask for; ``{}`` is any object, None: no JSON mode."""
    response_format = fields.get("response_format", {"type": "text"})
    if response_format["type"] != "text":
        wrapped = response_format.get("json_schema") or {}
        schema = _unwrapped(wrapped)
        return strict.closed(schema) if schema is not wrapped and wrapped.get("strict") is True else schema
    return _unwrapped(fields["guided_json"]) if fields.get("guided_json") else None


def parsed(answer: str, schema: Fields) -> object:
    """The answer as JSON. Raises ModelError 5024 when it is none, or does not match.

    A schema that would take too long is the engine's alone to keep to.
    """
    try:
        value = msgspec.json.decode(answer)
        valid = not is_bounded(schema, value) or _validator(schema or {"type": "object"}).is_valid(value)
    except (ValueError, RecursionError):  # both libraries' errors are ValueErrors
        valid = False
    if not valid:
        raise unmet()
    return value


def matches(answer: str, schema: Fields) -> bool:
    """Whether the answer is JSON and matches; as nobody has checked the schema, one that is none is matched by all."""
    try:
        validator = _validator(schema)
    except (ValueError, RecursionError):
        return True
    try:
        value = msgspec.json.decode(answer)
        return not is_bounded(schema, value) or bool(validator.is_valid(value))
    except (ValueError, RecursionError):
        return False


def unmet() -> ModelError:
    return ModelError(JSON_UNMET)


def _schema(schema: object, at: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield mismatch(at, schema, "object")
        return
    try:
        if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
            raise ValueError(f"it is larger than {MAX_SCHEMA_BYTES} bytes")
        _validator(_unwrapped(schema))
    except (ValueError, RecursionError) as error:
        yield f"'{at}' is no schema that can be used: {str(error).partition(chr(10))[0][:200]}"


def _unwrapped(schema: Fields) -> Fields:
    """Without OpenAI's wrapping ``{"name", "schema", "strict"}``: no schema has a keyword called ``schema``."""
    inner = schema.get("schema")
    return inner if isinstance(inner, dict) and "type" not in schema else schema


def _validator(schema: Fields) -> Validator:
    """Offline: a ``$ref`` fetches nothing from anywhere."""
    import jsonschema_rs  # 20 ms: not every start needs it

    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS)
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=options)


__all__ = ["complaints", "matches", "parsed", "schema", "unmet"]
