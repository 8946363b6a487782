"""Which keywords of JSON Schema an engine's grammar keeps to: each is asked of a real model, hot enough to break it.

    python tests/support/models/schema_keywords.py llamacpp embedded
    python tests/support/models/schema_keywords.py vllm WEIGHTS '{"structured_outputs_config": {"backend": "guidance"}}'

``kept``     every answer matched
``checked``  some did not, and are refused when they are complete
``refused``  5024 before the first token
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jsonschema_rs

FEW: dict[str, Any] = {"enum": ["a", "b"]}
TEXT: dict[str, Any] = {"type": "string", "maxLength": 2}
DIGIT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 9}


def many(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": FEW, "minItems": size, "maxItems": size, **more}


def fixed(*required: str, **more: Any) -> dict[str, Any]:
    """An object of three properties at most."""
    return {
        "type": "object",
        "properties": dict.fromkeys("xyz", FEW),
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def loose(**more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": DIGIT, "minProperties": 1, "maxProperties": 1, **more}


def text(format: str) -> dict[str, Any]:
    return {"type": "string", "format": format, "maxLength": 40}


# Without its keyword, a schema is broken by nearly every answer, and answers are short.
KEYWORDS: dict[str, Any] = {
    "type": {"type": "boolean"},
    "type: [...]": {"type": ["boolean", "null"]},
    "const": {"const": {"a": [1, None]}},
    "enum": {"enum": [1, "a", None, [True]]},
    "minimum, maximum: integer": DIGIT,
    "minimum, maximum: number": {"type": "number", "minimum": 0.25, "maximum": 0.75, "enum": [0.1, 0.5, 0.7, 0.9, 1.5]},
    "exclusiveMinimum, exclusiveMaximum": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6},
    "multipleOf": {"type": "integer", "minimum": 1, "maximum": 99, "multipleOf": 7},
    "minLength, maxLength": {"type": "string", "minLength": 3, "maxLength": 4},
    "pattern": {"type": "string", "pattern": "^[a-c]{2,4}$"},
    "pattern: look-around, back reference": {"type": "string", "pattern": "^(?!..)[a-c]$", "maxLength": 4},
    "format: date, time, date-time": text("date"),
    "format: email": text("email"),
    "format: ipv4": text("ipv4"),
    "format: uuid": text("uuid"),
    "format: uri": text("uri"),
    "properties, required": fixed("x", "y"),
    "additionalProperties: false": {**fixed("x")},
    "additionalProperties: {...}": loose(),
    "minProperties, maxProperties": {
        "type": "object",
        "additionalProperties": DIGIT,
        "minProperties": 1,
        "maxProperties": 1,
    },
    "patternProperties": loose(patternProperties={"^k[0-9]$": FEW}, additionalProperties=False),
    "patternProperties that overlap": {
        "type": "object",
        "required": ["ab"],
        "maxProperties": 1,
        "properties": {"ab": DIGIT},
        "additionalProperties": False,
        "patternProperties": {"^a": {"minimum": 99}, "b$": {"type": "integer"}},
    },
    "propertyNames": loose(propertyNames={"pattern": "^k$"}),
    "dependentRequired": fixed("x", dependentRequired={"x": ["y", "z"]}, maxProperties=2),
    "dependentSchemas": fixed("x", dependentSchemas={"x": {"properties": {"x": {"const": "c"}}}}),
    "unevaluatedProperties": {
        "type": "object",
        "properties": {"x": FEW},
        "required": ["x"],
        "minProperties": 2,
        "maxProperties": 2,
        "unevaluatedProperties": {"const": "c"},
    },
    "items": many(2),
    "prefixItems": {"type": "array", "prefixItems": [FEW, DIGIT], "items": False, "minItems": 2},
    "minItems, maxItems": {"type": "array", "items": DIGIT, "minItems": 2, "maxItems": 3},
    "uniqueItems": many(3, uniqueItems=True),
    "contains": many(2, contains={"const": "c"}),
    "unevaluatedItems": {
        "type": "array",
        "prefixItems": [FEW],
        "minItems": 2,
        "maxItems": 2,
        "unevaluatedItems": {"const": "c"},
    },
    "anyOf": {"anyOf": [DIGIT, FEW]},
    "oneOf": {"oneOf": [DIGIT, FEW]},
    "oneOf that overlaps": {"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "a"]}]},
    "allOf": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]},
    "allOf beside properties": {**fixed("x"), "allOf": [{"required": ["y"]}, {"required": ["z"]}]},
    "not": {"enum": ["a", "b"], "not": {"type": "string"}},
    "if, then, else": {**FEW, "if": {"type": "string"}, "then": {"const": "c"}},
    "$ref, $defs": {"$ref": "#/$defs/few", "$defs": {"few": FEW}},
    "$ref that recurs": {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"type": "array", "items": {"anyOf": [DIGIT, {"$ref": "#/$defs/n"}]}, "maxItems": 1}},
    },
    "$dynamicRef": {
        "type": "integer",
        "minimum": 0,
        "maximum": 5,
        "allOf": [{"$dynamicRef": "#d"}],
        "$defs": {"d": {"$dynamicAnchor": "d", "minimum": 99}},
    },
    "true": {"type": "object", "properties": {"x": True}, "required": ["x"], "additionalProperties": False},
    "false": {"type": "array", "items": False},
    "false, of what is required": {"type": "object", "properties": {"x": False}, "required": ["x"]},
    "a range that is empty": {"type": "integer", "minimum": 5, "maximum": 1},
    "names beyond ASCII": {
        "type": "object",
        "properties": {"größe 🙂": DIGIT},
        "required": ["größe 🙂"],
        "additionalProperties": False,
    },
}


async def measured(engine: Any, schema: Any, samples: int = 6) -> str:
    """What becomes of the keyword in ``schema``; ``unfinished`` where no answer came to an end."""
    from bindings.ai.engine.protocol import EngineError, Generate

    asked = Generate(messages=[{"role": "user", "content": "JSON?"}], json_schema=schema, n=samples, seed=1,
                     temperature=1, max_tokens=60)  # fmt: skip
    texts, whole = [""] * samples, set()
    try:
        async with aclosing(engine.generate(asked, "measured")) as deltas:
            async for delta in deltas:
                index = delta.extra.index if delta.extra else 0
                texts[index] += delta.text
                whole |= {index} if delta.finish_reason == "stop" else set()
    except EngineError as error:
        if error.code != 5024:
            raise
        return "refused"
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    met = [_meets(texts[index], validator) for index in whole]
    return "unfinished" if not met else "kept" if all(met) else "checked"


def _meets(text: str, validator: Any) -> bool:
    try:
        return bool(validator.is_valid(json.loads(text)))
    except ValueError:
        return False


async def main(name: str, model: str, options: str = "{}") -> None:
    from bindings.ai.engine.client import EngineClient
    from bindings.ai.engine.protocol import EngineSpec
    from models_support import Said

    client = EngineClient(EngineSpec(engine=name, model=model, options=json.loads(options)), Said(), load_timeout=300)
    try:
        await client.ready()
        for keyword, schema in KEYWORDS.items():
            print(f"| `{keyword}` | {await measured(client, schema)} |", flush=True)
    finally:
        await client.aclose()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    asyncio.run(main(*sys.argv[1:]))
