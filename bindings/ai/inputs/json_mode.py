"""JSON mode: which schema an answer is to meet, and whether it did.

Facts: docs/reference/workers-ai.md#text-generation, #answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bindings.ai.error_table import JSON_UNMET
from bindings.ai.errors import AiError
from bindings.ai.inputs import strict
from bindings.ai.inputs.checks import Fields, mismatch, required
from bindings.ai.inputs.schema_cost import bounded

KINDS = ("text", "json_object", "json_schema")
LARGEST = 100_000  # bytes of a schema
STEPS = 100_000  # of backtracking in a pattern of the schema: an expression may not hold the server up


def complaints(fields: Fields) -> Iterator[str]:
    """What is wrong with ``response_format`` and ``guided_json`` among ``fields``."""
    wanted = fields.get("response_format", {"type": "text"})
    if not isinstance(wanted, dict):
        yield mismatch("/response_format", wanted, "object")
        return
    if wanted.get("type") not in KINDS:
        yield f"'/response_format/type' must be one of '{', '.join(KINDS)}'"
    elif wanted["type"] == "json_schema" and wanted.get("json_schema") is None:
        yield required("/response_format", "json_schema")
    elif wanted.get("json_schema") is not None:
        yield from _schema(wanted["json_schema"], "/response_format/json_schema")
    if "guided_json" in fields:
        yield from _schema(fields["guided_json"], "/guided_json")


def schema(fields: Fields) -> Fields | None:
    """The schema that checked ``fields`` ask for; ``{}`` is any object, None: no JSON mode."""
    wanted = fields.get("response_format", {"type": "text"})
    if wanted["type"] != "text":
        given = wanted.get("json_schema") or {}
        bare = _bare(given)
        return strict.closed(bare) if bare is not given and given.get("strict") is True else bare
    return _bare(fields["guided_json"]) if fields.get("guided_json") else None


def value(answer: str, schema: Fields) -> Any:
    """The answer as JSON. Raises AiError 5024 when it is none, or does not match.

    A schema that would take too long is the engine's alone to keep to.
    """
    try:
        found = msgspec.json.decode(answer)
        met = not bounded(schema, found) or _validator(schema or {"type": "object"}).is_valid(found)
    except (ValueError, RecursionError):  # both libraries' errors are ValueErrors
        met = False
    if not met:
        raise unmet()
    return found


def matches(answer: str, schema: Fields) -> bool:
    """Whether the answer is JSON and matches; as nobody has checked the schema, one that is none is matched by all."""
    try:
        validator = _validator(schema)
    except (ValueError, RecursionError):
        return True
    try:
        found = msgspec.json.decode(answer)
        return not bounded(schema, found) or bool(validator.is_valid(found))
    except (ValueError, RecursionError):
        return False


def unmet() -> AiError:
    return AiError(JSON_UNMET)


def _schema(given: Any, at: str) -> Iterator[str]:
    if not isinstance(given, dict):
        yield mismatch(at, given, "object")
        return
    try:
        if len(msgspec.json.encode(given)) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        _validator(_bare(given))
    except (ValueError, RecursionError) as error:
        yield f"'{at}' is no schema that can be used: {str(error).partition(chr(10))[0][:200]}"


def _bare(given: Fields) -> Fields:
    """Without OpenAI's wrapping ``{"name", "schema", "strict"}``: no schema has a keyword called ``schema``."""
    inner = given.get("schema")
    return inner if isinstance(inner, dict) and "type" not in given else given


def _validator(schema: Fields) -> Any:
    """Offline: a ``$ref`` fetches nothing from anywhere."""
    import jsonschema_rs  # 20 ms: not every start needs it

    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=STEPS)
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=options)


__all__ = ["complaints", "matches", "schema", "unmet", "value"]
