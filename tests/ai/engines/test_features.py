"""One contract, every engine: all of text generation that is more than text, asked of real models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import pytest_asyncio

from bindings.ai.engine.protocol import Delta, EngineError, EngineSpec, Generate
from bindings.ai.engine.tasks import Detokenize, Tokenize
from bindings.ai.engines.accumulator import index_of
from bindings.ai.engines.echo import EchoEngine
from engines_support import LONG as TEXT
from engines_support import collect, live, until_live
from feature_models import CALL, _talking_tokenizer, adapter
from features_support import Featured, calls_of, refused, said
from models_support import ask, silent, text_of, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}, "city": {"enum": ["Paris", "Rome"]}},
          "required": ["ok", "city"], "additionalProperties": False}  # fmt: skip
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]},
    },
}
OTHER = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Featured]:
    engines = Featured(tmp_path_factory.mktemp("models"))
    yield engines
    await engines.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["llamacpp", "openai", "vllm"])
async def engine(engines: Featured, request: pytest.FixtureRequest) -> Any:
    return await engines.get(request.param)


def reasoning_of(deltas: list[Delta]) -> str:
    return "".join(delta.extra.reasoning for delta in deltas if delta.extra)


# What every real engine does


async def test_the_answer_matches_the_schema(engine: Any) -> None:
    deltas = await collect(engine, ask("Is it nice in Rome?", json_schema=SCHEMA, max_tokens=100))
    answer = json.loads(text_of(deltas))
    assert set(answer) == {"ok", "city"}
    assert answer["city"] in ("Paris", "Rome")
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize("choice", ["required", NAMED])
async def test_a_forced_call(engine: Any, choice: Any) -> None:
    if engine.info.engine == "openai":
        pytest.skip("llama.cpp's own server leaves it to the model, and this one is too small")
    deltas = await collect(engine, ask("Weather?", tools=[TOOL, OTHER], tool_choice=choice, max_tokens=120))
    first = calls_of(deltas)[0]
    if choice == NAMED:
        assert first["name"] == "get_weather"
        assert json.loads(first["arguments"])["city"] in ("Paris", "Rome")
    assert first["name"] in ("get_weather", "get_time")
    assert isinstance(json.loads(first["arguments"]), dict)
    assert first["id"]
    assert deltas[-1].finish_reason == "tool_calls"
    assert not text_of(deltas).strip()


async def test_n_answers(engine: Any) -> None:
    deltas = await collect(engine, ask("one two three", n=2, temperature=1.0, max_tokens=4, ignore_eos=True))
    by_index = {n: [d for d in deltas if (d.extra.index if d.extra else 0) == n] for n in range(2)}
    assert sum(map(len, by_index.values())) == len(deltas)
    for answer in by_index.values():
        assert [delta.finish_reason for delta in answer if delta.finish_reason] == ["length"]
        assert answer[-1].finish_reason is not None
    assert tokens_of(deltas) == 8
    assert await live(engine) == 0


@pytest.mark.parametrize("n", [1, 2])
async def test_what_is_left_of_the_window_is_filled(engine: Any, n: int) -> None:
    if engine.info.engine == "openai":
        pytest.skip("the server behind it knows its window, and nobody else")
    taken = (await collect(engine, ask("one two", max_tokens=1)))[-1].prompt_tokens
    asked = ask("one two", fill=True, n=n, context_window=taken + 6, max_tokens=3, temperature=0.9, ignore_eos=True)
    deltas = await collect(engine, asked)
    assert tokens_of(deltas) == 6 * n
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"] * n
    with pytest.raises(EngineError, match=rf"\({taken + 1}\) exceeded"):
        await collect(engine, ask("one two", fill=True, context_window=taken))


async def test_a_prompt_of_tokens(engine: Any) -> None:
    asked = Generate(prompt_tokens=[5, 6, 7], raw=True, max_tokens=4, temperature=0)
    deltas = await collect(engine, asked)
    assert deltas[-1].prompt_tokens == 3
    assert 1 <= tokens_of(deltas) <= 4
    assert text_of(await collect(engine, asked)) == text_of(deltas)


async def test_greedy_answers_are_all_the_same(engine: Any) -> None:
    deltas = await collect(engine, ask("one two three", n=2, max_tokens=6))
    texts = ["".join(d.text for d in deltas if (d.extra.index if d.extra else 0) == n) for n in range(2)]
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("count", [0, 2])
async def test_logprobs_are_those_of_the_tokens(engine: Any, count: int) -> None:
    deltas = await collect(engine, ask("Say: Paris", logprobs=count, max_tokens=4))
    odds = [one for delta in deltas if delta.extra for one in delta.extra.logprobs]
    shown = [one for one in odds if one["token"] not in ("<|im_end|>", "")]
    assert "".join(one["token"] for one in shown) == text_of(deltas)
    for one in shown:
        assert bytes(one["bytes"]).decode() == one["token"]
        assert one["logprob"] <= 0
        assert len(one["top_logprobs"]) == count
        if count:
            assert one["top_logprobs"][0]["token"] == one["token"], "the answer is greedy"


async def test_a_schema_that_is_none_is_refused(engine: Any) -> None:
    code, status, _ = await refused(engine, json_schema={"type": "nonsense"})
    assert (code, status) in [(5024, 400), (8007, 400)]
    if engine.info.engine != "openai":
        assert code == 5024


async def test_only_images_that_came_along(engine: Any) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}},
    ]
    with pytest.raises(EngineError) as caught:
        await collect(engine, ask(messages=[{"role": "user", "content": parts}]))
    assert (caught.value.code, caught.value.row.status) == (5006, 400)


# vLLM


async def test_vllm_calls_a_tool_of_its_own_accord(engines: Featured) -> None:
    deltas = await collect(await engines.get("vllm"), ask("Weather?", tools=[TOOL]))
    [call] = calls_of(deltas)
    body = json.loads(CALL)
    assert call["name"] == body["name"]
    assert json.loads(call["arguments"]) == body["arguments"]
    assert (deltas[-1].finish_reason, text_of(deltas)) == ("tool_calls", "")


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("hello", {"stop": ["b"]}),
        ("hello", {"n": 2, "logprobs": 1, "max_tokens": 2}),
        ("hello", {"json_schema": SCHEMA, "max_tokens": 100}),
        ("Weather?", {"tools": [TOOL]}),
        ("Weather?", {"tools": [TOOL], "max_tokens": 9}),
        ("Weather?", {"tools": [TOOL], "tool_choice": "required", "max_tokens": 100}),
        ("Think!", {"tools": [TOOL], "chat_template_kwargs": {"enable_thinking": True}}),
    ],
)
async def test_vllm_says_the_same_in_one_piece(engines: Featured, prompt: str, fields: dict[str, Any]) -> None:
    engine = await engines.get("vllm")
    pieces, whole = [await collect(engine, ask(prompt, **fields, whole=each)) for each in (False, True)]
    assert said(whole) == said(pieces)
    told = [index_of(delta) for delta in whole if delta.tokens]
    assert max(map(told.count, told)) == 2, "the first token, and all others"


async def test_vllm_is_not_shown_tools_that_it_may_not_call(engines: Featured) -> None:
    deltas = await collect(await engines.get("vllm"), ask("Weather?", tools=[TOOL], tool_choice="none"))
    assert (text_of(deltas), deltas[-1].finish_reason) == (" a b", "stop")


async def test_vllm_parts_thoughts_from_the_answer(engines: Featured) -> None:
    engine = await engines.get("vllm")
    for fields in ({"chat_template_kwargs": {"enable_thinking": True}}, {"reasoning_effort": "high"}):
        deltas = await collect(engine, ask("Think!", **fields))
        assert (reasoning_of(deltas), text_of(deltas)) == (" c d", " a b")
        assert deltas[-1].finish_reason == "stop"
    deltas = await collect(engine, ask("Think!"))
    assert (reasoning_of(deltas), text_of(deltas)) == ("", " a b")


async def test_vllm_thinks_freely_before_it_keeps_to_the_schema(engines: Featured) -> None:
    request = ask("Think!", chat_template_kwargs={"enable_thinking": True}, json_schema=SCHEMA, max_tokens=100)
    deltas = await collect(await engines.get("vllm"), request)
    assert reasoning_of(deltas) == " c d"
    assert set(json.loads(text_of(deltas))) == {"ok", "city"}


async def test_vllm_takes_no_template_of_a_strangers(engines: Featured) -> None:
    engine = await engines.get("vllm")
    assert (await refused(engine, chat_template_kwargs={"chat_template": "{{ 1 }}"}))[:2] == (8007, 400)


async def test_vllm_any_object_is_a_schema_too(engines: Featured) -> None:
    deltas = await collect(await engines.get("vllm"), ask("JSON!", json_schema={}, max_tokens=5))
    assert text_of(deltas).startswith("{")


ANY_A: dict[str, Any] = {"type": "object", "required": ["a"]}
PICK = {"enum": ["x", "y"]}
SCHEMAS: list[dict[str, Any]] = [
    SCHEMA,
    {"type": "array", "items": PICK, "minItems": 2, "maxItems": 3},
    ANY_A,
    {"type": "array", "minItems": 1},
    {"type": "object", "properties": {"a": True}, "required": ["a"]},
    {"type": "object", "properties": {"a": PICK}, "allOf": [{"required": ["a"], "properties": {"a": {"const": "y"}}}]},
    {"type": "object", "patternProperties": {"^a$": PICK}, "additionalProperties": False, "minProperties": 1},
    {"type": "array", "items": PICK, "minItems": 1, "maxItems": 1, "uniqueItems": True},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/p"}}, "required": ["a"], "$defs": {"p": PICK}},
]


@pytest.mark.parametrize("schemas", [SCHEMAS, SCHEMAS[::-1]])
async def test_vllm_keeps_to_a_schema_whatever_came_before(engines: Featured, schemas: list[dict[str, Any]]) -> None:
    engine = await engines.get("vllm")
    for schema in schemas:
        short = {} if schema is SCHEMA else {number("!"): -100.0, number(","): -100.0}
        if schema.get("minItems", 0) > 1:
            del short[number(",")]
        deltas = await collect(engine, ask("JSON!", json_schema=schema, max_tokens=80, logit_bias=short))
        jsonschema_rs.validate(schema, json.loads(text_of(deltas)))
        assert deltas[-1].finish_reason == "stop"


async def test_vllm_wastes_no_tokens_on_space(engines: Featured) -> None:
    schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 1, "maxItems": 3}
    drawn = {number(space): 100.0 for space in ("Ġ", "Ċ")}
    deltas = await collect(await engines.get("vllm"), ask("JSON!", json_schema=schema, logit_bias=drawn))
    assert text_of(deltas) == json.dumps(json.loads(text_of(deltas)), separators=(",", ":"))
    assert deltas[-1].finish_reason == "stop"


async def test_vllm_keeps_a_forced_call_to_what_can_be_said_of_its_schema(engines: Featured) -> None:
    cities = {"type": "array", "items": {"enum": ["Paris"]}, "minItems": 1, "maxItems": 1, "uniqueItems": True}
    parameters = {
        "type": "object",
        "properties": {"cities": {"$ref": "#/$defs/cities"}},
        "required": ["cities"],
        "$defs": {"cities": cities},
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": True}}
    request = ask("Weather?", tools=[tool], tool_choice="required", max_tokens=100)
    deltas = await collect(await engines.get("vllm"), request)
    [call] = calls_of(deltas)
    assert (call["name"], json.loads(call["arguments"])) == ("f", {"cities": ["Paris"]})
    assert (text_of(deltas), deltas[-1].finish_reason) == ("", "tool_calls")


def number(token: str) -> str:
    return str(_talking_tokenizer().token_to_id(token))


async def test_vllm_with_an_adapter_says_something_else(engines: Featured, tmp_path: Path) -> None:
    engine, other = await engines.get("vllm"), adapter(tmp_path / "one")
    assert text_of(await collect(engine, ask("hello", lora=str(other)))) == " g"
    assert text_of(await collect(engine, ask("hello"))) == " a b"
    for number in range(3):  # more than it keeps: the first goes, and comes back when asked for
        adapter(tmp_path / f"more{number}")
        assert text_of(await collect(engine, ask("hello", lora=str(tmp_path / f"more{number}")))) == " g"
    many = [ask("hello", lora=str(other) if n % 2 else None) for n in range(8)]
    texts = [text_of(deltas) for deltas in await asyncio.gather(*(collect(engine, one) for one in many))]
    assert texts == [" a b", " g"] * 4


async def test_vllm_survives_an_adapter_that_does_not_fit(engines: Featured, tmp_path: Path) -> None:
    engine, large = await engines.get("vllm"), adapter(tmp_path / "large", rank=64)
    code, status, description = await refused(engine, lora=str(large))
    assert (code, status) == (8007, 400)
    assert "rank" in description
    assert str(tmp_path) not in description
    assert text_of(await collect(engine, ask("hello"))) == " a b"


async def test_vllm_bans_a_token(engines: Featured) -> None:
    engine = await engines.get("vllm")
    [odds] = [
        one
        for delta in await collect(engine, ask("hello", logprobs=0, max_tokens=1))
        if delta.extra
        for one in delta.extra.logprobs
    ]
    assert odds["token"] == " a"
    assert not text_of(await collect(engine, ask("hello", logit_bias={number("Ġa"): -100}))).startswith(" a")
    assert (await refused(engine, logit_bias={"99999": 1}))[:2] == (8007, 400)


async def test_vllm_goes_on_past_the_end(engines: Featured) -> None:
    engine = await engines.get("vllm")
    deltas = await collect(engine, ask("hello", ignore_eos=True, max_tokens=9))
    assert (tokens_of(deltas), deltas[-1].finish_reason) == (9, "length")
    assert tokens_of(await collect(engine, ask("hello", max_tokens=9))) == 3


async def test_vllm_refuses_images_for_a_model_that_sees_none(engines: Featured) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    code, status, text = await refused(await engines.get("vllm"), messages=[{"role": "user", "content": [image]}])
    assert (code, status) == (5006, 400)
    assert "image_url" in text


# llama.cpp


async def test_llamacpp_is_told_of_tools_in_words(engines: Featured) -> None:
    engine = await engines.get("llamacpp")
    plain, taught = [
        (await collect(engine, ask("Weather?", max_tokens=1, **more)))[0].prompt_tokens
        for more in ({}, {"tools": [TOOL]})
    ]
    assert taught - plain > 50


async def test_llamacpp_knows_what_was_called_before(engines: Featured) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "18 degrees, sunny"},
    ]
    deltas = await collect(await engines.get("llamacpp"), ask(messages=messages, tools=[TOOL], max_tokens=24))
    assert text_of(deltas).strip()


async def test_llamacpp_bans_a_token(engines: Featured) -> None:
    engine = await engines.get("llamacpp")
    first = text_of(await collect(engine, ask("Say: Paris", max_tokens=1)))
    [number, *_] = (await engine.perform(Tokenize(request=Generate(prompt=first, raw=True), special=False), "r")).tokens
    assert not text_of(await collect(engine, ask("Say: Paris", logit_bias={str(number): -100}))).startswith(first)
    assert (await refused(engine, logit_bias={"999999": 1}))[:2] == (8007, 400)


async def test_llamacpp_goes_on_past_the_end(engines: Featured) -> None:
    engine = await engines.get("llamacpp")
    deltas = await collect(engine, ask("Say: Paris", ignore_eos=True, max_tokens=60))
    assert (tokens_of(deltas), deltas[-1].finish_reason) == (60, "length")


async def test_llamacpp_has_no_adapters(engines: Featured, tmp_path: Path) -> None:
    code, status, text = await refused(await engines.get("llamacpp"), lora=str(tmp_path))
    assert (code, status) == (5005, 405)
    assert "does not support LoRa inference" in text


async def test_llamacpp_sees_no_images(engines: Featured) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    code, status, text = await refused(await engines.get("llamacpp"), messages=[{"role": "user", "content": [image]}])
    assert (code, status) == (5006, 400)
    assert text == "Error: option 'image_url' is not served by the engine llamacpp"


async def test_llamacpp_leaving_ends_all_answers(engines: Featured) -> None:
    engine = await engines.get("llamacpp")
    async with aclosing(engine.generate(ask("count", n=3, temperature=1.0, max_tokens=150), "left")) as deltas:
        await anext(deltas)
    await until_live(engine, 0)


# echo


async def echo(**options: Any) -> EchoEngine:
    return await EchoEngine.open(EngineSpec(engine="echo", model="echo", options=options), silent)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"logprobs": 0}, "logprobs"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
    ],
)
async def test_echo_refuses_what_takes_a_model(fields: dict[str, Any], name: str) -> None:
    assert await refused(await echo(), **fields) == (
        5006,
        400,
        f"Error: option '{name}' is not served by the engine echo",
    )


async def test_echo_has_no_adapters() -> None:
    assert (await refused(await echo(), lora="/x"))[:2] == (5005, 405)


async def test_echo_calls_the_tool_it_is_told_to() -> None:
    engine = await echo(tool_call={"name": "get_weather", "arguments": {"city": "Rome"}}, reasoning="let me see")
    deltas = await collect(engine, ask("Weather?", tools=[OTHER, TOOL], tool_choice=NAMED))
    assert calls_of(deltas) == [
        {"id": "call_0", "type": "function", "name": "get_weather", "arguments": '{"city":"Rome"}'}
    ]
    assert (reasoning_of(deltas), text_of(deltas), tokens_of(deltas)) == ("let me see", "", 5)
    assert deltas[-1].finish_reason == "tool_calls"
    assert text_of(await collect(engine, ask("Hi there", tools=[OTHER]))) == "Hi there"
    assert text_of(await collect(engine, ask("Hi there", tools=[TOOL], tool_choice="none"))) == "Hi there"
    assert (await refused(engine, tools=[OTHER], tool_choice="required"))[0] == 5006
    assert not reasoning_of(await collect(engine, ask("Hi", reasoning_effort="none")))


@pytest.mark.parametrize(
    ("limit", "thought", "calls", "reason"),
    [
        (1, "let", 0, "length"),
        (3, "let me see", 0, "length"),
        (4, "let me see", 1, "length"),
        (5, "let me see", 1, "tool_calls"),
    ],
)
async def test_echo_keeps_max_tokens_when_it_calls(limit: int, thought: str, calls: int, reason: str) -> None:
    engine = await echo(tool_call={"name": "get_weather"}, reasoning="let me see")
    deltas = await collect(engine, ask("Weather?", tools=[TOOL], max_tokens=limit))
    assert (reasoning_of(deltas), len(calls_of(deltas)), deltas[-1].finish_reason) == (thought, calls, reason)
    assert tokens_of(deltas) == limit


async def test_echo_repeats_json_and_nothing_else() -> None:
    engine = await echo()
    assert text_of(await collect(engine, ask('{"ok": true}', json_schema=SCHEMA))) == '{"ok": true}'
    assert await refused(engine, json_schema=SCHEMA) == (5024, 400, "JSON Mode couldn't be met")


async def test_echo_answers_n_times() -> None:
    deltas = await collect(await echo(), ask("one two", n=2))
    texts = ["".join(d.text for d in deltas if (d.extra.index if d.extra else 0) == n) for n in range(2)]
    assert texts == ["one two", "one two"]
    assert tokens_of(deltas) == 4


async def test_tokens_are_those_it_reads_and_say_the_text(engine: Any) -> None:
    if engine.info.engine == "openai":
        pytest.skip("the server behind it may tell, and nobody else")
    raw = await engine.perform(Tokenize(request=Generate(prompt=TEXT, raw=True), special=False), "r")
    assert len(raw.tokens) == len(raw.pieces) >= 10
    assert raw.window == engine.info.context_window
    assert (await engine.perform(Detokenize(tokens=raw.tokens), "r")).text == TEXT
    said = Generate(messages=[{"role": "user", "content": TEXT}], max_tokens=1)
    read = await engine.perform(Tokenize(request=said), "r")
    assert (await collect(engine, said))[-1].prompt_tokens == len(read.tokens)
    with pytest.raises(EngineError) as caught:
        await engine.perform(Detokenize(tokens=[2**30]), "r")
    assert caught.value.code == 5006
