"""Text-generation inputs beyond plain text: tools, JSON mode, images, OpenAI's options, the Responses API."""

from __future__ import annotations

from typing import Any

import pytest

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.errors import ModelError
from bindings.ai.inputs import json_mode
from bindings.ai.inputs.text import CHAT, CLASSIC, COMPLETION, RESPONSES, TextRequest, text_generation

MODEL = Model(id="@cf/x/classic")
OPENAI = Model(id="@cf/x/openai", openai_style=True)
VISION = Model(id="@cf/x/vision", vision=True)
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FUNCTION = {"name": "getWeather", "description": "now", "parameters": {"type": "object", "properties": {"at": {}}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def asked(model: Model = MODEL, form: str = "", **fields: Any) -> TextRequest:
    return text_generation({**HI, **fields}, model, form)


def generate(model: Model = MODEL, **fields: Any) -> Generate:
    return asked(model, **fields).generate


def refused(inputs: Any, model: Model = MODEL, form: str = "") -> str:
    with pytest.raises(ModelError) as caught:
        text_generation(inputs, model, form)
    assert (caught.value.code, caught.value.status) == (5006, 400)
    return caught.value.description


# JSON mode


@pytest.mark.parametrize("wanted", [
    {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": False}}},
    {"guided_json": SCHEMA},
])  # fmt: skip
def test_a_schema_bare_or_wrapped(wanted: Any) -> None:
    assert generate(**wanted).json_schema == SCHEMA


CLOSED = {**SCHEMA, "additionalProperties": False}
REF = {"$ref": "#/$defs/a"}


@pytest.mark.parametrize(("schema", "closed"), [
    (SCHEMA, CLOSED),
    ({**SCHEMA, "additionalProperties": {"type": "integer"}}, {**SCHEMA, "additionalProperties": {"type": "integer"}}),
    ({**SCHEMA, "additionalProperties": True}, {**SCHEMA, "additionalProperties": True}),
    ({"additionalProperties": SCHEMA}, {"additionalProperties": CLOSED}),
    ({"type": ["object", "null"]}, {"type": ["object", "null"], "additionalProperties": False}),
    ({"type": "array", "items": SCHEMA, "prefixItems": [SCHEMA, True]},
     {"type": "array", "items": CLOSED, "prefixItems": [CLOSED, True]}),
    ({"properties": {"properties": {"anyOf": [SCHEMA, {"type": "null"}]}}},
     {"properties": {"properties": {"anyOf": [CLOSED, {"type": "null"}]}}, "additionalProperties": False}),
    ({"$defs": {"a": SCHEMA}, "allOf": [REF]}, {"$defs": {"a": CLOSED}, "allOf": [REF]}),
    ({"definitions": {"a": SCHEMA}, "const": SCHEMA}, {"definitions": {"a": CLOSED}, "const": SCHEMA}),
    # one object, described in several places: what closes one of them forbids the others
    *((same, same) for same in (
        {"allOf": [SCHEMA, {"properties": {"b": {}}}]}, {"$defs": {"a": SCHEMA}, "properties": {"b": {}}, **REF},
        {"$defs": {"a": SCHEMA}, "allOf": [REF, {"properties": {"b": {}}}]}, {"not": SCHEMA},
        {"properties": {"b": {}}, "anyOf": [SCHEMA, {"required": ["b"]}]})),
])  # fmt: skip
def test_strict_closes_objects(schema: Any, closed: Any) -> None:
    wrapped = {"name": "x", "schema": schema, "strict": True}
    assert generate(response_format={"type": "json_schema", "json_schema": wrapped}).json_schema == closed
    flat = responses(input="hi", text={"format": {"type": "json_schema", **wrapped}})
    assert flat.json_schema == closed
    for strict, wanted in ((True, closed), (None, schema)):
        function = {"name": "f", "parameters": schema, "strict": strict}
        for tool in (function, {"type": "function", "function": function}):
            assert generate(tools=[tool]).tools[0]["function"]["parameters"] == wanted


def test_any_object_or_plain_text() -> None:
    assert generate(response_format={"type": "json_object"}).json_schema == {}
    assert generate(response_format={"type": "text"}).json_schema is None
    assert generate(response_format=None).json_schema is None


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("json", "Type mismatch of '/response_format', 'string' not in 'object'"),
        ({"type": "xml"}, "'/response_format/type' must be one of"),
        ({"type": []}, "'/response_format/type' must be one of"),
        ({"type": "json_schema"}, "required properties at '/response_format' are 'json_schema'"),
        ({"type": "json_schema", "json_schema": "x"}, "Type mismatch of '/response_format/json_schema'"),
        ({"type": "json_schema", "json_schema": {"type": "nothing"}}, "is no schema that can be used"),
        ({"type": "json_schema", "json_schema": {"$ref": "http://127.0.0.1:1/x"}}, "is no schema that can be used"),
    ],
)  # fmt: skip
def test_formats_that_make_no_sense(wanted: Any, text: str) -> None:
    assert text in refused({**HI, "response_format": wanted})


def test_json_mode_does_not_stream_in_the_classic_form() -> None:
    wanted = {**HI, "response_format": {"type": "json_object"}, "stream": True}
    assert "JSON Mode does not support streaming" in refused(wanted)
    assert text_generation(wanted, MODEL, CHAT).stream


@pytest.mark.parametrize(
    ("answer", "schema"),
    [("{", {}), ("[1]", {}), ("NaN", {}), ('{"name": 1}', SCHEMA), ("[" * 5000, {}), ("", SCHEMA)],
)  # fmt: skip
def test_an_answer_that_is_not_the_json_asked_for(answer: str, schema: Any) -> None:
    with pytest.raises(ModelError) as caught:
        json_mode.parsed(answer, schema)
    assert (caught.value.code, caught.value.status) == (5024, 400)
    assert caught.value.description == "JSON Mode couldn't be met"


def test_a_pattern_of_the_schema_cannot_hold_the_server_up() -> None:
    with pytest.raises(ModelError, match="5024"):
        json_mode.parsed('{"a": "' + "a" * 64 + '!"}', {"properties": {"a": {"pattern": r"^(?=a)(a+)+\1$"}}})


def doubling(levels: int) -> Any:
    """Each definition names the next one twice: twice as many steps with every level."""
    steps = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**steps, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


TREE = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}}}


def test_a_schema_without_end_is_left_to_the_engine() -> None:
    for hidden in (doubling(60), {**doubling(60), "$ref": "#/properties/const", "properties": {
            "const": {"$ref": "#/$defs/a0"}}}, {"$defs": doubling(60)["$defs"], "$ref": "#/%24defs/a0"},
            {"$defs": doubling(60)["$defs"], "$dynamicRef": "#/$defs/a0"}):  # fmt: skip
        assert json_mode.parsed("{}", hidden) == {}
    with pytest.raises(ModelError, match="5024"):
        json_mode.parsed("{}", doubling(5))
    twice = {"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["b"]}] * 2 + [{"type": "object"}]}
    deep = '{"a":' * 60 + "1" + "}" * 60
    assert json_mode.parsed(deep, twice)["a"]
    assert "it is larger than 100000 bytes" in refused({**HI, "guided_json": {"description": "x" * 100_000}})


def test_a_recursive_schema_is_kept_to() -> None:
    assert json_mode.parsed('{"left": {"n": 1}, "right": {"left": {}}}', TREE)["left"] == {"n": 1}
    with pytest.raises(ModelError, match="5024"):
        json_mode.parsed('{"left": {"right": {"n": "one"}}}', TREE)


# Tools


@pytest.mark.parametrize("tool", [
    FUNCTION, {"type": "function", "function": FUNCTION}, {"type": "function", **FUNCTION},
])  # fmt: skip
def test_tools_flat_or_wrapped(tool: Any) -> None:
    assert generate(tools=[tool]).tools == [{"type": "function", "function": FUNCTION}]


def test_parameters_are_taken_as_real_clients_write_them() -> None:
    parameters = {"$schema": "http://json-schema.org/draft-07/schema#", "additionalProperties": False,
                  "type": "object", "properties": {"at": {"type": "string"}}}  # fmt: skip
    [tool] = generate(tools=[{"name": "f", "description": None, "parameters": parameters, "strict": None}]).tools
    assert tool["function"] == {"name": "f", "parameters": parameters}
    [bare] = generate(tools=[{"name": "f"}]).tools
    assert bare["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("auto", "auto"), ("none", "none"), ("required", "required"), ("any", "required"), (None, None),
        ({"type": "function", "function": {"name": "getWeather"}},
         {"type": "function", "function": {"name": "getWeather"}}),
        ({"type": "function", "name": "getWeather"}, {"type": "function", "function": {"name": "getWeather"}}),
    ],
)  # fmt: skip
def test_tool_choice(given: Any, wanted: Any) -> None:
    assert generate(tools=[FUNCTION], tool_choice=given).tool_choice == wanted


def test_a_choice_without_tools_says_nothing() -> None:
    assert generate(tool_choice="auto", tools=[]).tool_choice is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tools": {}}, "Type mismatch of '/tools', 'object' not in 'array'"),
        ({"tools": ["f"]}, "Type mismatch of '/tools/0', 'string' not in 'object'"),
        ({"tools": [{}]}, "required properties at '/tools/0' are 'name'"),
        ({"tools": [{"type": "web_search"}]}, "'/tools/0' of type 'web_search' is not served here"),
        ({"tools": [{"name": "f", "parameters": "x"}]}, "Type mismatch of '/tools/0/parameters'"),
        ({"tools": [{"name": "f", "parameters": {"a": 10**30}}]}, "does not fit in 64 bits"),
        ({"tools": [FUNCTION], "tool_choice": "maybe"}, "'/tool_choice' must be one of"),
        ({"tools": [FUNCTION], "tool_choice": {"function": {"name": "g"}}}, "'/tool_choice' names no function"),
        ({"tools": [FUNCTION], "tool_choice": {"function": []}}, "'/tool_choice' names no function"),
        ({"tool_choice": "required"}, "'/tool_choice' is 'required', and there are no tools"),
        ({"functions": [{"name": "f", "code": "x"}]}, "'/functions' is not served here: describe them in 'tools'"),
    ],
)  # fmt: skip
def test_tools_that_make_no_sense(fields: Any, text: str) -> None:
    assert text in refused({**HI, **fields})


def test_a_conversation_with_tools() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"at": 1}'}},
            {"id": "b", "function": {"name": "f", "arguments": {"at": 2}}},
            {"name": "f"}]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    ]  # fmt: skip
    calls = [("a", '{"at": 1}'), ("b", '{"at":2}'), ("call_2", "{}")]
    assert generate(messages=messages).messages == [
        {"role": "system", "content": "be brief"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": text}} for id, text in calls
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "a"},
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", "3", [1], 3, "[" * 5000])
def test_arguments_that_are_no_object(arguments: Any) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": arguments}}
    told = refused({"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]})
    assert "'/messages/0/tool_calls/0/function/arguments' must be a JSON object" in told


# Images


@pytest.mark.parametrize("image", [{"url": PIXEL}, {"url": PIXEL, "detail": "low"}, PIXEL])
def test_an_image_that_came_along(image: Any) -> None:
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": image}]
    [message] = generate(VISION, messages=[{"role": "user", "content": content}]).messages or []
    assert message["content"] == [content[0], {"type": "image_url", "image_url": {"url": PIXEL}}]


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ({"url": "https://example.com/a.png"}, "HTTP URL will not be accepted"),
        ({"url": "file:///etc/passwd"}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:text/html;base64,aGk="}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,a b"}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,"}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,=="}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,a=b"}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,a==="}, "must be 'data:image/<type>;base64,<data>'"),
        ({"url": "data:image/png;base64,é"}, "must be 'data:image/<type>;base64,<data>'"),
        ({}, "required properties at '/messages/0/content/0/image_url' are 'url'"),
        (None, "required properties at '/messages/0/content/0/image_url' are 'url'"),
    ],
)  # fmt: skip
def test_images_that_are_refused(image: Any, text: str) -> None:
    content = [{"type": "image_url", "image_url": image}]
    assert text in refused({"messages": [{"role": "user", "content": content}]}, VISION)


@pytest.mark.parametrize("image", ["iVBORw0KGgo=", PIXEL, [137, 80, 78, 71, 13, 10, 26, 10], {"body": "iVBORw0KGgo="}])
def test_an_image_beside_the_text(image: Any) -> None:
    picture = {"type": "image_url", "image_url": {"url": PIXEL}}
    content = [picture, {"type": "text", "text": "hi"}]
    for inputs in (HI, {"prompt": "hi"}):
        found = text_generation({**inputs, "image": image}, VISION).generate
        assert (found.prompt, found.messages) == (None, [{"role": "user", "content": content}])


@pytest.mark.parametrize("image", ["aGk=", [1, 2], [300], 3, ["a"]])
def test_an_image_that_is_none(image: Any) -> None:
    assert "/image" in refused({**HI, "image": image}, VISION)


# OpenAI's options


def test_the_newer_models_tell_by_the_fields_what_is_meant() -> None:
    assert asked(OPENAI).form == CHAT
    assert text_generation({"prompt": "hi"}, OPENAI).form == COMPLETION
    assert text_generation({"input": "hi"}, OPENAI).form == RESPONSES
    assert asked(MODEL).form == text_generation({"prompt": "hi"}, MODEL).form == CLASSIC


def test_a_completion_goes_to_the_model_as_it_is() -> None:
    assert text_generation({"prompt": ["hi"]}, MODEL, COMPLETION).generate.raw
    assert not text_generation({"prompt": "hi"}, MODEL).generate.raw
    assert [*text_generation({"prompt": ["a", "b"]}, MODEL, COMPLETION).prompts] == ["a", "b"]
    assert "'/prompt', 'array' not in 'string'" in refused({"prompt": ["a", "b"]}, MODEL)


def test_openais_options_arrive() -> None:
    options: dict[str, Any] = {
        "n": 3, "logit_bias": {"50256": -100}, "reasoning_effort": "low", "parallel_tool_calls": False,
        "chat_template_kwargs": {"enable_thinking": False}, "frequency_penalty": -1,
    }  # fmt: skip
    found = generate(OPENAI, **options)
    assert {name: getattr(found, name) for name in options} == options
    assert generate(OPENAI, logprobs=True).logprobs == 0
    assert generate(OPENAI, logprobs=True, top_logprobs=5).logprobs == 5
    assert generate(OPENAI, logprobs=False, top_logprobs=5).logprobs is None
    assert text_generation({"prompt": "hi", "logprobs": 2}, OPENAI).generate.logprobs == 2
    assert asked(OPENAI, stream_options={"include_usage": False}).include_usage is False


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"n": 129}, "'/n' must be between 1 and 128"), ({"n": "2"}, "Type mismatch of '/n'"),
        ({"logprobs": 3}, "Type mismatch of '/logprobs'"), ({"top_logprobs": 21}, "'/top_logprobs' must be between"),
        ({"logit_bias": {"word": 1}}, "no token id"), ({"logit_bias": {"1": 101}}, "must be between -100 and 100"),
        ({"logit_bias": []}, "Type mismatch of '/logit_bias'"), ({"reasoning_effort": "lots"}, "'/reasoning_effort'"),
        ({"chat_template_kwargs": 1}, "Type mismatch"), ({"stream_options": True}, "Type mismatch"),
        ({"ignore_eos": True}, "'/ignore_eos' is for models that take images"), ({"lora": 1}, "'/lora'"),
    ],
)  # fmt: skip
def test_options_out_of_range(fields: Any, text: str) -> None:
    assert text in refused({**HI, **fields}, OPENAI)


def test_ignore_eos_where_images_are_read() -> None:
    assert generate(VISION, ignore_eos=True).ignore_eos


@pytest.mark.parametrize(("form", "missing"), [(CHAT, "messages"), (COMPLETION, "prompt"), (RESPONSES, "input")])
def test_each_form_needs_its_own(form: str, missing: str) -> None:
    assert f"required properties at '/' are '{missing}'" in refused({"max_tokens": 1}, MODEL, form)


# Responses


def responses(**fields: Any) -> Generate:
    return text_generation(fields, MODEL, RESPONSES).generate


def test_responses_input_as_text() -> None:
    found = responses(input="hi", instructions="be brief", max_output_tokens=7, reasoning={"effort": "low"})
    assert found.messages == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert (found.max_tokens, found.reasoning_effort) == (7, "low")


def test_responses_input_as_items() -> None:
    found = responses(input=[
        {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "sunny"},
    ])  # fmt: skip
    [user, assistant, tool] = found.messages or []
    assert user == {"role": "user", "content": "weather?"}
    assert assistant["content"] == "I look"
    assert [call["id"] for call in assistant["tool_calls"]] == ["a", "b"]
    assert tool == {"role": "tool", "tool_call_id": "a", "content": "sunny"}


def test_responses_formats_and_tools() -> None:
    found = responses(
        input="hi", text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        tools=[{"type": "function", **FUNCTION}], tool_choice={"type": "function", "name": "getWeather"},
        include=["message.output_text.logprobs"], top_logprobs=2)  # fmt: skip
    assert found.json_schema == SCHEMA
    assert found.tools[0]["function"]["name"] == "getWeather"
    assert found.logprobs == 2


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"previous_response_id": "resp_1"}, "'/previous_response_id' is not served here: nothing is kept"),
        ({"store": True}, "'/store' is not served here"), ({"background": True}, "'/background' is not served here"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "'/input/0' of type 'item_reference' is not served here"),
        ({"input": [3]}, "Type mismatch of '/input/0'"), ({"input": 3}, "Type mismatch of '/input'"),
        ({"input": [{"type": "function_call_output"}]}, "required properties at '/input/0' are 'call_id'"),
        ({"text": 3}, "Type mismatch of '/text'"), ({"include": 3}, "Type mismatch of '/include'"),
        ({"tools": [{"type": "web_search"}]}, "'/tools/0' of type 'web_search' is not served here"),
    ],
)  # fmt: skip
def test_responses_that_are_refused(fields: Any, text: str) -> None:
    assert text in refused({"input": "hi", **fields}, MODEL, RESPONSES)


def test_null_means_absent_everywhere() -> None:
    names = ("tools", "tool_choice", "response_format", "guided_json", "n", "logprobs", "logit_bias", "lora",
             "reasoning_effort", "stream_options", "chat_template_kwargs", "parallel_tool_calls", "stop")  # fmt: skip
    for model in (MODEL, OPENAI):
        assert generate(model, **dict.fromkeys(names)) == generate(model)
