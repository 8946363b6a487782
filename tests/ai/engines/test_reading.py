"""Reading an answer piece by piece: what is said, thought and called, wherever the pieces happen to end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from aiohttp.base_protocol import BaseProtocol

from bindings.ai.engine.protocol import Delta, EngineError, Extra, Generate
from bindings.ai.engines.openai.ask import path_and_body
from bindings.ai.engines.openai.read import deltas
from bindings.ai.engines.thoughts import ReasoningSplitter
from bindings.ai.engines.tool_calls import ToolCallReader
from bindings.ai.engines.tool_prompt import call_schema, explain_tools
from bindings.ai.engines.vllm import parsers as vllm_parsers
from bindings.ai.error_table import INTERNAL

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("one", "two")]
CALL = '<tool_call>\n{"name": "one", "arguments": {"a": "<b>"}}\n</tool_call>'


def read(reader: Any, text: str, size: int) -> tuple[str, list[Any]]:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    said = [reader.read(piece, last=number == len(pieces)) for number, piece in enumerate(pieces, 1)]
    return "".join(text for text, _ in said), [other for _, other in said if other]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "shown", "names"),
    [
        ("just text with < and <tool", "just text with < and <tool", []),
        (f"Let me see. {CALL}", "Let me see. ", ["one"]),
        (f'{CALL}\n<tool_call>{{"name": "two"}}</tool_call>', "", ["one", "two"]),
        ('<tool_call>{"name": "two", "arguments": {}}', "", ["two"]),
        ('<tool_call>{"name": "tw', '<tool_call>{"name": "tw', []),
        ("<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>", []),
        ('<tool_call>{"name": "two", "arguments": {"s": "</tool_call>"}}</tool_call>', "", ["two"]),
        ('<tool_call>{"name": "two", "arguments": {"s": "<tool_call>{}</tool_call>"}}</tool_call>', "", ["two"]),
        ('<tool_call>{"name": "two", "arguments": {"a": {"b": {"c": "}}"}}}}</tool_call>', "", ["two"]),
        ('<tool_call>{"name": "two", "arguments": {"s": "line\nend"}}</tool_call>', "", ["two"]),
        ('<tool_call>{"name": "two", "arguments": "{\\"a\\": 1}"}</tool_call>', "", ["two"]),
        ('<tool_call>[{"name": "one", "arguments": {"a": "<b>"}}, {"name": "two"}]</tool_call>', "", ["one", "two"]),
        (f"{CALL} and then {CALL} done", " and then  done", ["one", "one"]),
        (f"<tool_call>no call {CALL}", "<tool_call>no call ", ["one"]),
        (f'{CALL}<tool_call>{{"name": "tw', '<tool_call>{"name": "tw', ["one"]),
    ],
)
def test_calls(text: str, shown: str, names: list[str], size: int) -> None:
    said, found = read(ToolCallReader(), text, size)
    calls = [call for calls in found for call in calls]
    assert said == shown
    assert [call["function"]["name"] for call in calls] == names
    assert [call["index"] for call in calls] == [*range(len(names))]
    assert len({call["id"] for call in calls}) == len(names)
    if names[:1] == ["one"]:
        assert json.loads(calls[0]["function"]["arguments"]) == {"a": "<b>"}


@pytest.mark.parametrize(
    ("text", "bare", "shown", "call"),
    [
        ('<tool_call>{"name": "one", "arguments": {"a": "</tool_', False, "", ("one", '{"a": "</tool_')),
        ('<tool_call>\n{"name": "one"', False, "", ("one", "")),
        ('<tool_call>{"name": "one", "argum', False, "", ("one", "")),
        ('<tool_call>{"name": "on', False, '<tool_call>{"name": "on', None),
        ('{"name":"one","arguments":{"a":1', True, "", ("one", '{"a":1')),
        ('{"na', True, '{"na', None),
    ],
)
def test_calls_that_are_cut(text: str, bare: bool, shown: str, call: tuple[str, str] | None) -> None:
    said, found = ToolCallReader(bare=bare).read(text, last=True, cut=True)
    assert said == shown
    assert [(one["function"]["name"], one["function"]["arguments"]) for one in found] == ([call] if call else [])


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("prompt", "text", "said", "thought"),
    [
        ("hi", "plain", "plain", ""),
        ("hi", "<b>bold</b>", "<b>bold</b>", ""),
        ("hi", "\n<think>so < so</think>\n\nanswer", "answer", "so < so"),
        ("<think>\n", "so</think>answer", "answer", "so"),
        ("<think>\n", "never ends </thin", "", "never ends </thin"),
        ("hi", "<th", "<th", ""),
        ("<think></think>", "answer", "answer", ""),
    ],
)
def test_thoughts(prompt: str, text: str, said: str, thought: str, size: int) -> None:
    shown, found = read(ReasoningSplitter(prompt), text, size)
    assert (shown.lstrip("\n"), "".join(found)) == (said, thought)


def test_tools_are_told_in_the_system_message() -> None:
    told = explain_tools([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], TOOLS)
    assert [message["role"] for message in told] == ["system", "user"]
    assert told[0]["content"].startswith("Be brief.\n\n")
    assert all(json.dumps(tool) in told[0]["content"] for tool in TOOLS)


def test_past_calls_and_results_are_told_in_words() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "one", "arguments": '{"a": 1}'}}
    told = explain_tools(
        [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "x", "content": "42"},
        ],
        [],
    )
    assert told[0] == {
        "role": "assistant",
        "content": '<tool_call>\n{"name": "one", "arguments": {"a": 1}}\n</tool_call>',
    }
    assert told[1] == {"role": "user", "content": "<tool_response>\n42\n</tool_response>"}


def test_a_named_tool_is_the_only_one_that_fits() -> None:
    named = {"type": "function", "function": {"name": "two"}}
    for choice, names in (("required", ["one", "two"]), (named, ["two"])):
        schema = call_schema(Generate(tools=TOOLS, tool_choice=choice))
        assert [one["properties"]["name"]["const"] for one in schema["anyOf"]] == names


def test_references_of_parameters_lead_to_the_same_within_a_call() -> None:
    tree = {"type": "object", "properties": {
        "kind": {"$ref": "#/$defs/k"}, "inner": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        "$ref": {"const": {"$ref": "#/x"}}}, "required": ["kind", "inner"],
        "$defs": {"k": {"enum": [1, 2]}}}  # fmt: skip
    function = {"name": "two", "parameters": tree}
    schema = call_schema(Generate(tools=[TOOLS[0], {"type": "function", "function": function}], tool_choice="required"))
    check = jsonschema_rs.validator_for(schema)
    for inner, good in ((None, True), ({"kind": 1, "inner": None}, True), ({"kind": 3, "inner": None}, False)):
        call = {"name": "two", "arguments": {"kind": 2, "inner": inner, "$ref": {"$ref": "#/x"}}}
        assert check.is_valid(call) is good


# OpenAI's form

MESSAGES = [{"role": "user", "content": "Hi"}]
ALWAYS = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 256,
          "temperature": 0.6}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {}),
        ({"json_schema": {}}, {"response_format": {"type": "json_object"}}),
        (
            {"json_schema": {"type": "array"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "array"}},
                }
            },
        ),
        ({"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "auto"}),
        (
            {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"n": 2, "logprobs": 3}, {"n": 2, "logprobs": True, "top_logprobs": 3}),
        ({"logit_bias": {"5": -100}, "ignore_eos": True}, {"logit_bias": {"5": -100}, "ignore_eos": True}),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"a": 1}},
            {"reasoning_effort": "low", "chat_template_kwargs": {"a": 1}},
        ),
        ({"stop": ["x"], "seed": 1, "top_k": 4}, {"stop": ["x"], "seed": 1, "top_k": 4}),
    ],
)
def test_a_chat_in_openais_words(fields: dict[str, Any], body: dict[str, Any]) -> None:
    path, asked = path_and_body(Generate(messages=MESSAGES, **fields), "m")
    assert (path, asked) == ("/chat/completions", {**ALWAYS, "messages": MESSAGES, **body})


def test_raw_text_in_openais_words() -> None:
    asked = path_and_body(Generate(prompt="Once", raw=True, logprobs=0), "m")
    assert asked == ("/completions", {**ALWAYS, "prompt": "Once", "logprobs": 1})


async def events(*events: Any, done: bool = True) -> aiohttp.StreamReader:
    reader = aiohttp.StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    for event in events:
        reader.feed_data(b"data: " + json.dumps(event).encode() + b"\n\n")
    if done:
        reader.feed_data(b"data: [DONE]\n\n")
    reader.feed_eof()
    return reader


async def answer(*given: Any, answers: int = 1, logprobs: int | None = None, done: bool = True) -> list[Delta]:
    def refusal(status: int, body: str) -> EngineError:
        return EngineError(INTERNAL, body)

    return [delta async for delta in deltas(await events(*given, done=done), answers, logprobs, refusal)]


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    return {"object": "chat.completion.chunk", "choices": [choice]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
                                  "prompt_tokens_details": {"cached_tokens": 4}}}  # fmt: skip


async def test_thoughts_and_calls_in_openais_form() -> None:
    begun = {"index": 0, "id": "chatcmpl-tool-1", "type": "function", "function": {"name": "one", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"a": 1}'}}
    found = await answer(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "hm"}),
        chunk({"reasoning_content": "so"}),
        chunk({"content": "Well"}),
        chunk({"tool_calls": [begun]}),
        chunk({"tool_calls": [rest]}),
        chunk({}, "tool_calls"),
        USAGE,
    )
    assert found == [
        Delta("", extra=Extra(reasoning="hm")),
        Delta("", extra=Extra(reasoning="so")),
        Delta("Well"),
        Delta("", extra=Extra(tool_calls=[begun])),
        Delta("", extra=Extra(tool_calls=[rest])),
        Delta("", 2, 9, "tool_calls", Extra(cached_tokens=4)),
    ]


async def test_several_answers_each_have_an_end() -> None:
    pieces = [{"choices": [{"index": n, "delta": {"content": str(n)}, "finish_reason": "length"}]} for n in (1, 0)]
    found = await answer(*pieces, USAGE, answers=2)
    assert [(delta.text, delta.extra.index if delta.extra else 0, delta.finish_reason) for delta in found] == [
        ("1", 1, None),
        ("0", 0, None),
        ("", 0, "length"),
        ("", 1, "length"),
    ]
    assert sum(delta.tokens for delta in found) == 7
    with pytest.raises(EngineError, match="before the answer was complete"):
        await answer(pieces[0], USAGE, answers=2, done=False)


async def test_each_answer_may_have_a_count_of_its_own() -> None:
    """As llama.cpp's server does it; a token may be without a text."""
    ends = [{"choices": [{"index": n, "delta": {}, "finish_reason": "length"}]} for n in (1, 0)]
    found = await answer(chunk({"content": "a"}), ends[0], USAGE, ends[1], USAGE, answers=2)
    assert sum(delta.tokens for delta in found) == 14
    found = await answer(chunk({"content": "a"}), *ends, USAGE, USAGE, answers=2)
    assert sum(delta.tokens for delta in found) == 7, "the same twice"


async def test_odds_in_both_of_openais_forms() -> None:
    wanted = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    other = {"token": "Ho", "logprob": -1.5, "bytes": [72, 111]}
    whole = {**wanted, "id": 7, "top_logprobs": [{**wanted, "id": 7}, {**other, "id": 8}]}
    chat = chunk({"content": "Hi"}, "stop", logprobs={"content": [whole]})
    old = {
        "choices": [
            {
                "index": 0,
                "text": "Hi",
                "finish_reason": "stop",
                "logprobs": {
                    "tokens": ["Hi"],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{"Hi": -0.5, "Ho": -1.5}],
                    "text_offset": [0],
                },
            }
        ]
    }
    for given in (chat, old):
        for count, likeliest in ((0, []), (2, [wanted, other])):
            first, _ = await answer(given, USAGE, logprobs=count)
            assert first == Delta("Hi", extra=Extra(logprobs=[{**wanted, "top_logprobs": likeliest}]))
        assert (await answer(given, USAGE))[0] == Delta("Hi"), "nobody has asked"


@pytest.mark.parametrize(
    ("kind", "template", "parsers"),
    [
        ("llama", "{% if tools %}<|python_tag|>", ("llama3_json", "")),
        ("llama", "{{ content.split('</think>') }}<think>", ("hermes", "deepseek_r1")),
        ("llama", "[INST]", ("hermes", "")),
        ("llama4", "<|python_start|>", ("llama4_pythonic", "")),
        ("mistral", "[TOOL_CALLS]", ("mistral", "")),
        ("mistral", "<tool_call>", ("hermes", "")),
        ("qwen2", "<tool_call>", ("hermes", "")),
        ("qwen2", "<tool_call><think>", ("hermes", "deepseek_r1")),
        ("qwen3_moe", "<tool_call><think>", ("hermes", "qwen3")),
        ("qwen3_moe", "<tool_call><function=", ("qwen3_coder", "")),
        ("gpt_oss", "", ("openai", "openai_gptoss")),
        ("deepseek_v3", "", ("deepseek_v31", "deepseek_v3")),
        ("gemma4_text", "", ("gemma4", "gemma4")),
        ("gemma3", "<start_of_turn>", ("hermes", "")),
        ("unheard_of", "", ("hermes", "")),
    ],
)
def test_a_models_family_says_who_reads_it(kind: str, template: str, parsers: tuple[str, str]) -> None:
    assert vllm_parsers.family(kind, template) == parsers
