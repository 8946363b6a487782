"""The forms of an answer, from scripted deltas: classic with tools and JSON, and OpenAI's three, byte by byte."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import nullcontext
from typing import Any

import pytest

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.engine.protocol import Delta, EngineError, Extra
from bindings.ai.error_table import CAPACITY
from bindings.ai.errors import ModelError
from bindings.ai.inputs.text import CHAT, COMPLETION, OPENAI_ROUTE, RESPONSES
from service_support import INT8, Scripted, read, serve

NEWER = "@cf/openai/gpt-oss-20b"
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
TOOLS = {"tools": [{"name": "getWeather"}]}
TEXT = [Delta("Hel", 1, 5), Delta("lo", 1, 5), Delta("", 0, 5, "stop")]
ARGUMENTS = '{"latitude":"51.5"}'
CALL = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "getWeather", "arguments": ""}}]
PIECES = [CALL, [{"index": 0, "function": {"arguments": ARGUMENTS}}]]
CALLED = [*(Delta("", 1, 5, None, Extra(tool_calls=piece)) for piece in PIECES), Delta("", 1, 5, "stop")]
THOUGHT = [Delta("", 1, 5, None, Extra(reasoning="Hm", cached_tokens=4)), Delta("Hi", 1, 5), Delta("", 0, 5, "stop")]
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


async def ask(
    deltas: list[Delta], form: str = "", model: str = INT8, padding: bool = False, **fields: Any
) -> RunAnswer:
    return await serve(Scripted(deltas), padding=padding).run(model, {**HI, **fields}, request_id="id", form=form)


async def whole(deltas: list[Delta], form: str = "", model: str = INT8, **fields: Any) -> Any:
    return (await ask(deltas, form, model, **fields)).json


async def events(
    deltas: list[Delta], form: str = "", model: str = INT8, padding: bool = False, **fields: Any
) -> list[Any]:
    """The stream's events as values; the last is ``[DONE]``."""
    answer = await ask(deltas, form, model, padding, **fields, stream=True)
    assert answer.stream is not None
    parts = (await read(answer.stream)).decode().split("\n\n")
    assert parts.pop() == ""
    texts = [part.rpartition("data: ")[2] for part in parts]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


# Classic


async def test_native_tool_calls_are_flat_with_an_object() -> None:
    assert json.dumps(await whole(CALLED, **TOOLS), separators=(",", ":")) == (
        '{"response":null,"tool_calls":[{"name":"getWeather","arguments":{"latitude":"51.5"}}],'
        '"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
    )


async def test_arguments_cut_short_are_shown_as_they_are() -> None:
    cut = [*CALLED[:1], Delta("", 1, 5, "length", Extra(tool_calls=[{"index": 0, "function": {"arguments": '{"la'}}]))]
    assert (await whole(cut, **TOOLS))["tool_calls"] == [{"name": "getWeather", "arguments": '{"la'}]


async def test_a_native_tool_call_stream() -> None:
    answer = await ask(CALLED, **TOOLS, stream=True)
    assert answer.stream is not None
    assert await read(answer.stream) == (
        b'data: {"tool_calls":[{"index":0,"id":"call_1","type":"function",'
        b'"function":{"name":"getWeather","arguments":""}}]}\n\n'
        b'data: {"tool_calls":[{"index":0,"function":{"arguments":"{\\"latitude\\":\\"51.5\\"}"}}]}\n\n'
        b'data: {"finish_reason":"tool_calls"}\n\n'
        b'data: {"response":"","usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}\n\n'
        b"data: [DONE]\n\n"
    )


async def test_json_mode_answers_with_a_value() -> None:
    deltas = [Delta('{"name": ', 1, 5), Delta('"India"}', 1, 5, "stop")]
    found = await whole(deltas, response_format={"type": "json_object"})
    assert found == {"response": {"name": "India"}, "tool_calls": [], "usage": USAGE}


@pytest.mark.parametrize("form", ["", CHAT])
async def test_json_mode_that_could_not_be_met(form: str) -> None:
    with pytest.raises(ModelError) as caught:
        await whole(TEXT, form, response_format={"type": "json_object"})
    assert caught.value.envelope("id")["errors"] == [
        {"message": "AiError: AiError: JSON Mode couldn't be met (id)", "code": 5024}
    ]


async def test_an_answer_that_ran_out_is_given_as_it_is() -> None:
    cut = [Delta('{"name', 1, 5, "length")]
    wanted = {"response_format": {"type": "json_object"}}
    assert (await whole(cut, CHAT, **wanted))["choices"][0]["message"]["content"] == '{"name'
    with pytest.raises(ModelError, match="5024"):
        await whole(TEXT, COMPLETION, messages=None, prompt="JSON!", **wanted)


CUT = [Delta("", 1, 5, extra=CALLED[0].extra), Delta("", 0, 5, "length")]


async def test_a_call_that_ran_out_says_so_in_every_form() -> None:
    assert (await whole(CUT, CHAT, **TOOLS))["choices"][0]["finish_reason"] == "length"
    *_, last, _ = await events(CUT, CHAT, **TOOLS)
    assert last["choices"][0]["finish_reason"] == "length"
    assert {"finish_reason": "length"} in await events(CUT, **TOOLS)
    whole_answer = await whole(CUT, RESPONSES, messages=None, input="hi", **TOOLS)
    *_, closed, streamed, _ = await events(CUT, RESPONSES, messages=None, input="hi", **TOOLS)
    for response in (whole_answer, streamed["response"]):
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert closed["item"]["status"] == "incomplete"


@pytest.mark.parametrize("form", [CHAT, COMPLETION, RESPONSES])
async def test_a_stream_that_does_not_meet_its_schema_ends_with_the_refusal(form: str) -> None:
    field = {CHAT: HI, COMPLETION: {"messages": None, "prompt": "hi"}, RESPONSES: {"messages": None, "input": "hi"}}
    unique = {"type": "array", "uniqueItems": True}
    asked = {
        **field[form],
        "response_format": {"type": "json_schema", "json_schema": unique},
        "text": {"format": {"type": "json_schema", "schema": unique}},
    }
    for text, met in (("[1,2]", True), ("[1,1]", False)):
        found = await events([Delta(text, 1, 5), Delta("", 0, 5, "stop")], form, **asked)
        assert ("JSON Mode couldn't be met" in json.dumps(found)) is not met


@pytest.mark.parametrize(("deltas", "met"), [
    (CALLED, False), (TEXT, False), ([Delta("", 1, 5, "length")], True)])  # fmt: skip
async def test_a_forced_call_is_held_to_its_parameters(deltas: list[Delta], met: bool) -> None:
    parameters = {"type": "object", "not": {"required": ["latitude"]}}
    forced = {"tools": [{"name": "getWeather", "parameters": parameters}], "tool_choice": "required"}
    for form in ("", CHAT):
        with nullcontext() if met else pytest.raises(ModelError, match="5024"):
            await whole(deltas, form, **forced)
        assert (b"5024" in json.dumps(await events(deltas, form, **forced)).encode()) is not met
        assert "5024" not in json.dumps(await events(CALLED, form, **{**forced, **TOOLS}))


async def test_a_tool_call_is_not_held_to_the_schema() -> None:
    assert (await whole(CALLED, **TOOLS, response_format={"type": "json_object"}))["response"] is None


async def test_reasoning_and_what_was_cached() -> None:
    found = await whole(THOUGHT)
    assert (found["response"], found["reasoning_content"]) == ("Hi", "Hm")
    assert found["usage"] == {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}
    thought, said, *_ = await events(THOUGHT)
    assert (thought, said) == ({"response": "", "reasoning_content": "Hm"}, {"response": "Hi"})


async def test_padding_hides_tool_calls_too() -> None:
    many = [Delta("", 1, 5, None, Extra(tool_calls=PIECES[1]))] * 100
    found = await events([*CALLED[:1], *many, CALLED[-1]], padding=True, **TOOLS)
    assert len({len(event.get("p", "")) for event in found[:-2]}) > 10
    assert "p" not in found[-2]


# Chat completions


def timeless(text: str) -> str:
    """With the time of the answer, its only unforeseeable part, taken out."""
    return re.sub(r'"id":"id-(\d{10})\d{3}"(.*?)"created":\1', r'"id":"id-MS"\2"created":S', text)


async def test_a_chat_completion() -> None:
    found = await whole(TEXT, CHAT)
    assert timeless(json.dumps(found, separators=(",", ":"))) == (
        '{"id":"id-MS","object":"chat.completion","created":S,"model":"@cf/meta/llama-2-7b-chat-int8",'
        '"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop",'
        '"logprobs":null}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,'
        '"prompt_tokens_details":{"cached_tokens":0}}}'
    )


async def test_a_chat_stream_as_the_service_has_it_but_for_what_clients_fail_on() -> None:
    """The service tells no role, and sends the last chunk once more with no tokens."""
    answer = await ask(TEXT, CHAT, stream=True)
    assert answer.stream is not None
    model, usage = f'"model":"{INT8}"', '"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7'
    first = f'data: {{"id":"id-MS","created":S,{model},"object":"chat.completion.chunk","choices":[{{"index":0,'
    last = (f'data: {{"id":"id-MS","object":"chat.completion.chunk","created":S,{model},"choices":[{{"index":0,'
            '"delta":{"content":""},"finish_reason":"stop"}],')  # fmt: skip
    role = '"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
    assert timeless((await read(answer.stream)).decode()) == (
        first
        + role
        + first
        + '"delta":{"content":"Hel"}}]}\n\n'
        + first
        + '"delta":{"content":"lo"}}]}\n\n'
        + last
        + usage
        + ',"prompt_tokens_details":{"cached_tokens":0}}}\n\ndata: [DONE]\n\n'
    )


@pytest.mark.parametrize("form", [CHAT, COMPLETION])
async def test_a_stream_as_openai_has_it(form: str) -> None:
    """Usage is a chunk by itself, and only where it is asked for."""
    asked: dict[str, Any] = {"messages": None, "prompt": "Say"} if form == COMPLETION else {}
    *_, last, done = await events(TEXT, OPENAI_ROUTE + form, **asked)
    assert (last["choices"][0]["finish_reason"], "usage" in last, done) == ("stop", False, "[DONE]")
    *chunks, last, end, done = await events(TEXT, OPENAI_ROUTE + form, stream_options={"include_usage": True}, **asked)
    assert [chunk["usage"] for chunk in (*chunks, last)] == [None] * (len(chunks) + 1)
    assert (last["choices"][0]["finish_reason"], end["choices"]) == ("stop", [])
    assert (end["usage"]["total_tokens"], end["id"], done) == (7, last["id"], "[DONE]")


async def test_usage_is_left_out_when_it_is_not_wanted() -> None:
    *_, last, done = await events(TEXT, CHAT, stream_options={"include_usage": False})
    assert (last["choices"][0]["finish_reason"], "usage" in last, done) == ("stop", False, "[DONE]")


async def test_the_newer_models_begin_with_the_role_and_answer_so_on_run() -> None:
    first, second, third, last, done = await events(TEXT, model=NEWER)
    assert first["choices"][0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }
    assert [chunk["choices"][0]["delta"] for chunk in (second, third)] == [{"content": "Hel"}, {"content": "lo"}]
    assert (last["usage"]["total_tokens"], done) == (7, "[DONE]")
    assert (await whole(TEXT, model=NEWER))["choices"][0]["message"]["content"] == "Hello"


async def test_chat_tool_calls_keep_their_ids() -> None:
    [choice] = (await whole(CALLED, CHAT, **TOOLS))["choices"]
    function = {"name": "getWeather", "arguments": ARGUMENTS}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    assert choice["message"] == {"role": "assistant", "content": None, "tool_calls": calls}
    assert choice["finish_reason"] == "tool_calls"
    _, one, two, last, *_ = await events(CALLED, CHAT, **TOOLS)
    assert [chunk["choices"][0]["delta"] for chunk in (one, two)] == [{"tool_calls": piece} for piece in PIECES]
    assert last["choices"][0]["finish_reason"] == "tool_calls"


async def test_chat_reasoning() -> None:
    found = await whole(THOUGHT, CHAT)
    assert found["choices"][0]["message"]["reasoning_content"] == "Hm"
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    _, first, *_ = await events(THOUGHT, CHAT)
    assert first["choices"][0]["delta"] == {"reasoning_content": "Hm"}


SEVERAL = [
    Delta("a", 1, 5), Delta("b", 1, 5, None, Extra(index=1)), Delta("c", 1, 5),
    Delta("", 0, 5, "length"), Delta("", 0, 5, "stop", Extra(index=1)),
]  # fmt: skip


async def test_several_answers() -> None:
    found = await whole(SEVERAL, CHAT, n=2)
    said = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in found["choices"]]
    assert said == [(0, "ac", "length"), (1, "b", "stop")]
    assert found["usage"]["completion_tokens"] == 3
    chunks = [event["choices"][0] for event in (await events(SEVERAL, CHAT, n=2))[2:-1]]
    assert [(one["index"], one["delta"]["content"]) for one in chunks[:3]] == [(0, "a"), (1, "b"), (0, "c")]
    assert [(one["index"], one["finish_reason"]) for one in chunks[3:]] == [(0, "length"), (1, "stop")]


PROBABLE = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105],
             "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]}]  # fmt: skip
SURE = [Delta("Hi", 1, 5, None, Extra(logprobs=PROBABLE)), Delta("", 0, 5, "stop")]


async def test_logprobs() -> None:
    found = await whole(SURE, CHAT, logprobs=True, top_logprobs=1)
    assert found["choices"][0]["logprobs"] == {"content": PROBABLE}
    _, first, *_ = await events(SURE, CHAT, logprobs=True)
    assert first["choices"][0] == {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": PROBABLE}}


async def test_padding_on_run_but_not_on_openais_routes() -> None:
    long = [Delta("a", 1, 5)] * 100 + [Delta("", 0, 5, "stop")]
    assert any("p" in event for event in await events(long, model=NEWER, padding=True))
    assert not any("p" in event for event in await events(long, CHAT, padding=True))


async def test_a_chat_stream_that_breaks_says_so_in_both_dialects() -> None:
    engine = Scripted([Delta("a", 1, 5)], EngineError(CAPACITY, "Capacity exceeded"))
    answer = await serve(engine).run(INT8, {**HI, "stream": True}, request_id="id", form=CHAT)
    assert answer.stream is not None
    *_, last, end = (await read(answer.stream)).split(b"\n\n")
    body = json.loads(last.removeprefix(b"data: "))
    assert (body["errors"][0]["code"], body["error"]["code"], end) == (3040, "rate_limit_exceeded", b"")


# Completions


async def test_a_completion() -> None:
    found = await whole(SURE, COMPLETION, messages=None, prompt="Say", logprobs=1)
    assert found["object"] == "text_completion"
    assert found["choices"] == [
        {
            "index": 0,
            "text": "Hi",
            "finish_reason": "stop",
            "logprobs": {
                "tokens": ["Hi"],
                "token_logprobs": [-0.5],
                "top_logprobs": [{"Hi": -0.5}],
                "text_offset": [0],
            },
        }
    ]


async def test_the_offsets_of_a_completion_stream_go_on() -> None:
    def said(text: str, index: int) -> Delta:
        odds = {"token": text, "logprob": -0.5, "bytes": [*text.encode()], "top_logprobs": []}
        return Delta(text, 1, 5, extra=Extra(index=index, logprobs=[odds]))

    deltas = [said(text, index) for text in ("Hé", "llo", "!") for index in range(2)]
    ends = [Delta("", 0, 5, "stop", Extra(index=index)) for index in range(2)]
    found = await events([*deltas, *ends], COMPLETION, NEWER, messages=None, prompt="Say", logprobs=0, n=2)
    for index in range(2):
        choices = [event["choices"][0] for event in found[:-1] if event["choices"]]
        places = [
            choice["logprobs"]["text_offset"] for choice in choices if choice["index"] == index and choice["logprobs"]
        ]
        assert places == [[0], [2], [5]]


async def test_a_completion_stream() -> None:
    *texts, last, done = await events(TEXT, COMPLETION, messages=None, prompt="Say")
    assert [event["choices"][0]["text"] for event in texts] == ["Hel", "lo"]
    assert (last["choices"][0]["finish_reason"], last["usage"]["total_tokens"], done) == ("stop", 7, "[DONE]")


# Responses


async def respond(deltas: list[Delta], **fields: Any) -> Any:
    return await whole(deltas, RESPONSES, messages=None, input="hi", **fields)


async def test_a_response() -> None:
    found = await respond(THOUGHT, instructions="be brief")
    assert (found["object"], found["status"], found["instructions"]) == ("response", "completed", "be brief")
    reasoning, message = found["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm"}]
    assert message["content"] == [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}]
    assert found["usage"]["input_tokens_details"] == {"cached_tokens": 4}


async def test_a_response_that_calls_a_function_or_runs_out() -> None:
    [call] = (await respond(CALLED, **TOOLS))["output"]
    assert (call["type"], call["call_id"], call["arguments"]) == ("function_call", "call_1", ARGUMENTS)
    short = await respond([Delta("Hi", 1, 5, "length")])
    assert (short["status"], short["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


MESSAGE = [
    "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
    "output_item.done",
]  # fmt: skip
REASONING = [name.replace("output_text", "reasoning_text") for name in MESSAGE]
FUNCTION = [
    "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
]  # fmt: skip


@pytest.mark.parametrize(
    ("deltas", "names"), [(THOUGHT, [*REASONING, *MESSAGE]), (CALLED, FUNCTION), (TEXT[-1:], MESSAGE)],
)  # fmt: skip
async def test_a_response_stream(deltas: list[Delta], names: list[str]) -> None:
    *found, done = await events(deltas, RESPONSES, messages=None, input="hi", **TOOLS)
    assert done == "[DONE]"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    kinds = [event["type"].removeprefix("response.") for event in found]
    expected = ["created", "in_progress", *names, "completed"]
    assert kinds == [name for name in expected if deltas[0].text or deltas[0].extra or not name.endswith("delta")]
    assert found[-1]["response"]["status"] == "completed"
    closed = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert found[-1]["response"]["output"] == closed


async def test_a_response_streams_the_text_it_ends_with() -> None:
    answer = await ask(TEXT, RESPONSES, messages=None, input="hi", stream=True)
    assert answer.stream is not None
    parts = (await read(answer.stream)).decode().split("\n\n")[:-2]
    found = [json.loads(part.partition("\ndata: ")[2]) for part in parts]
    assert [part.partition("\n")[0] for part in parts] == [f"event: {event['type']}" for event in found]
    assert "".join(event.get("delta", "") for event in found) == "Hello"
    items = {event["item_id"] for event in found if "item_id" in event}
    assert items == {found[-1]["response"]["output"][0]["id"]}
    assert all(one["output_index"] == 0 for one, _ in itertools.pairwise(found) if "output_index" in one)
