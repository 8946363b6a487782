"""JSON Schemas and llama.cpp: what its grammars keep to, and that nothing is left to the model's good will."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engines.llamacpp.engine import LlamaCppEngine
from engines_support import collect
from features_support import calls_of, refused
from models_support import ask, silent, text_of
from schema_keywords import KEYWORDS, measured

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DOCS = (Path(__file__).parents[3] / "docs/workers-ai.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(.+?)` \| (kept|checked|refused) \|", DOCS, re.MULTILINE))
TEXT = {"type": "string"}
SET = {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2, "uniqueItems": True}
ENDLESS = {"$ref": "#/$defs/n", "$defs": {"n": {
    "type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[LlamaCppEngine]:
    spec = EngineSpec(engine="llamacpp", model="embedded", options={"n_ctx": 768, "n_parallel": 4})
    engine = await LlamaCppEngine.open(spec, silent)
    yield engine
    await engine.aclose()


@pytest.mark.parametrize("keyword", KEYWORDS)
async def test_the_docs_say_what_becomes_of_a_keyword(engine: LlamaCppEngine, keyword: str) -> None:
    assert await measured(engine, KEYWORDS[keyword], samples=3) == ROWS[keyword]


async def test_an_answer_has_no_room_for_line_ends(engine: LlamaCppEngine) -> None:
    digits = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 1, "maxItems": 3}
    for schema in (digits, {}, {"type": "object", "properties": {"a": True}, "required": ["a"]}, SET):
        deltas = await collect(engine, ask("Give me JSON, please.", json_schema=schema, max_tokens=40))
        text = text_of(deltas)
        assert text.startswith(("[", "{"))
        assert not re.search(r"\s{2}|\n", text)
        if schema in (digits, SET):
            assert deltas[-1].finish_reason == "stop"
            assert json.loads(text)


@pytest.mark.parametrize("schema", [
    {"type": "nonsense"}, {"type": "integer", "minimum": 5, "maximum": 1}, ENDLESS, {"$ref": "#/$defs/none"},
    {"type": "object", "properties": {"a": False}, "required": ["a"]},
])  # fmt: skip
async def test_what_no_grammar_can_be_made_of_is_refused(engine: LlamaCppEngine, schema: Any) -> None:
    for _ in range(2):  # the second time from memory
        assert (await refused(engine, json_schema=schema))[:2] == (5024, 400)
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert (await refused(engine, tools=[tool], tool_choice="required"))[:2] == (5024, 400)


async def test_one_bad_pattern_costs_no_other(engine: LlamaCppEngine) -> None:
    properties = {"a": {**TEXT, "pattern": "^(?!x)[a-z]$", "maxLength": 3}, "b": {**TEXT, "pattern": "^x{3}$"},
                  "c": {"type": "integer", "minimum": -(2**63), "maximum": 9}}  # fmt: skip
    schema = {"type": "object", "properties": properties, "required": ["b", "a"], "additionalProperties": False}
    answer = json.loads(text_of(await collect(engine, ask("JSON!", json_schema=schema, max_tokens=60))))
    assert answer["b"] == "xxx"
    assert len(answer["a"]) <= 3


PARAMETERS = [
    {"type": "object", "properties": {"x": {"$ref": "#/$defs/few"}}, "required": ["x"], "additionalProperties": False,
     "$defs": {"few": {"enum": ["p", "q"]}}},
    {"type": "object", "properties": {"x": SET}, "required": ["x"], "additionalProperties": False},
    {"type": "object", "properties": {"x": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "required": ["x"],
     "additionalProperties": False},
]  # fmt: skip


@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_a_forced_call_with_any_parameters(engine: LlamaCppEngine, parameters: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in ("one", "two")]
    for choice in ("required", {"type": "function", "function": {"name": "two"}}):
        deltas = await collect(engine, ask("Call one!", tools=tools, tool_choice=choice, max_tokens=80))
        [call] = calls_of(deltas)
        assert call["name"] in (("one", "two") if choice == "required" else ("two",))
        if deltas[-1].finish_reason == "tool_calls":
            assert json.loads(call["arguments"]).keys() == {"x"}
        else:
            assert deltas[-1].finish_reason == "length"
            assert call["arguments"].startswith('{"x":{"x":')


async def test_a_call_that_is_cut_is_one(engine: LlamaCppEngine) -> None:
    tool = {"type": "function", "function": {"name": "one", "parameters": PARAMETERS[0]}}
    whole = await collect(engine, ask("Call!", tools=[tool], tool_choice="required", max_tokens=80))
    room = sum(delta.tokens for delta in whole) - 3
    deltas = await collect(engine, ask("Call!", tools=[tool], tool_choice="required", max_tokens=room))
    assert deltas[-1].finish_reason == "length"
    [call], [complete] = calls_of(deltas), calls_of(whole)
    assert complete["arguments"].startswith(call["arguments"])
    assert len(call["arguments"]) < len(complete["arguments"])
    assert not text_of(deltas)
