"""Text-generation inputs: what is let in, what it becomes, and how the rest is refused."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.errors import ModelError
from bindings.ai.inputs.text import CHAT, COMPLETION, RESPONSES, refuse_options, text_generation

CLASSIC = Model(id="@cf/x/classic", context_window=8192, max_input_tokens=2048, max_output_tokens=1800)
NEWER = Model(id="@cf/x/newer", openai_ranges=True, default_max_tokens=2000, default_temperature=0.15)
OPENAI = Model(id="@cf/x/openai", openai_style=True, vision=True)
HI: dict[str, Any] = {"prompt": "hi"}
USER = {"role": "user", "content": "hi"}


def generate(inputs: Any, model: Model = CLASSIC) -> Generate:
    return text_generation(inputs, model).generate


def refused(inputs: Any, model: Model = CLASSIC) -> ModelError:
    with pytest.raises(ModelError) as caught:
        text_generation(inputs, model)
    return caught.value


def test_defaults() -> None:
    asked = text_generation(HI, CLASSIC)
    assert not asked.stream
    assert asked.generate == Generate(
        prompt="hi",
        max_tokens=256,
        temperature=0.6,
        unasked=["max_tokens", "temperature"],
        context_window=8192,
        max_input_tokens=2048,
        max_output_tokens=1800,
        whole=True,
    )
    own = generate(HI, NEWER)
    assert (own.max_tokens, own.temperature) == (2000, 0.15)


def test_every_option_arrives() -> None:
    sampling = {
        "max_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 50,
        "seed": 9999999999,
        "repetition_penalty": 2,
        "frequency_penalty": 0.5,
        "presence_penalty": 1,
    }
    asked = generate({**HI, **sampling, "stop": ["a", "b"], "raw": True})
    assert {name: getattr(asked, name) for name in sampling} == sampling
    assert (asked.stop, asked.raw) == (["a", "b"], True)


def test_null_means_absent() -> None:
    names = ("messages", "max_tokens", "temperature", "top_p", "stop", "stream", "raw", "tools", "lora")
    assert generate({**HI, **dict.fromkeys(names)}) == generate(HI)


def test_harmless_and_unknown_keys_pass() -> None:
    harmless = {
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "n": 1,
        "logprobs": False,
        "options": {"rejectIfBusy": True},
        "stream_options": {"include_usage": True},
        "user": "me",
        "💡": {},
    }
    assert generate({**HI, **harmless}) == generate(HI)


@pytest.mark.parametrize("value", ["true", True])
def test_flags_may_be_strings(value: Any) -> None:
    asked = text_generation({**HI, "raw": value, "stream": value}, CLASSIC)
    assert asked.stream
    assert asked.generate.raw


def test_messages_become_plain_text_messages() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "system", "content": "be brief", "x": 1},
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "user", "content": {"type": "text", "text": "bare"}},
    ]
    assert generate({"messages": messages}).messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one\ntwo", "name": "ann"},
        {"role": "user", "content": "bare"},
    ]


def test_raw_messages_are_a_prompt_of_their_texts() -> None:
    asked = generate({"messages": [{"role": "user", "content": "[INST] hi"}, USER], "raw": "true"})
    assert (asked.prompt, asked.messages, asked.raw) == ("[INST] hi\nhi", None, True)


def test_an_empty_shape_beside_a_full_one_counts_for_nothing() -> None:
    assert generate({"prompt": "", "messages": [USER]}).messages == [USER]
    assert generate({"prompt": "hi", "messages": []}).prompt == "hi"


@pytest.mark.parametrize("value", ["stop", ["stop"]])
def test_stop_is_text_or_a_list(value: Any) -> None:
    assert generate({**HI, "stop": value}).stop == ["stop"]


def test_max_completion_tokens_is_the_newer_name() -> None:
    assert generate({**HI, "max_tokens": 9, "max_completion_tokens": 5}).max_tokens == 5


def test_whole_floats_are_integers() -> None:
    assert generate({**HI, "max_tokens": 12.0, "top_k": 3.0}).max_tokens == 12


def test_older_ranges_of_top_p_are_brought_into_the_engines() -> None:
    assert [generate({**HI, "top_p": value}).top_p for value in (0, 0.4, 1, 2)] == [0.001, 0.4, 1, 1]


NOT_MET = "oneOf at '/' not met, 0 matches: "
REQUIRED = NOT_MET + "required properties at '/' are 'prompt', required properties at '/' are 'messages'"


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({}, REQUIRED),
        ({"prompt": None}, REQUIRED),
        ([], "Type mismatch of '/', 'array' not in 'object'"),
        ("hi", "Type mismatch of '/', 'string' not in 'object'"),
        (None, "Type mismatch of '/', 'null' not in 'object'"),
        ({"prompt": ""}, NOT_MET + "Length of '/prompt' must be >= 1"),
        ({"prompt": ["hi"]}, NOT_MET + "Type mismatch of '/prompt', 'array' not in 'string'"),
        ({**HI, "messages": [USER]},
         "oneOf at '/' not met, 2 matches: prompt and messages are mutually exclusive"),
        ({"messages": []}, NOT_MET + "Length of '/messages' must be >= 1"),
        ({"messages": {}}, NOT_MET + "Type mismatch of '/messages', 'object' not in 'array'"),
        ({"messages": [USER, "x"]}, NOT_MET + "Type mismatch of '/messages/1', 'string' not in 'object'"),
        ({"messages": [USER, {}]}, NOT_MET + "required properties at '/messages/1' are 'role,content'"),
        ({"messages": [{"role": "user", "content": None}]},
         NOT_MET + "required properties at '/messages/0' are 'content'"),
        ({"messages": [{"role": "user", "content": 3}]},
         NOT_MET + "Type mismatch of '/messages/0/content', 'integer' not in 'string,array'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
         NOT_MET + "'/messages/0/content/0' is an image, and the model takes none"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
         NOT_MET + "'/messages/0/content/0' of type 'input_audio' is not served here"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
         NOT_MET + "required properties at '/messages/0/content/0' are 'text'"),
        ({**HI, "max_tokens": "256"}, NOT_MET + "Type mismatch of '/max_tokens', 'string' not in 'integer'"),
        ({**HI, "max_tokens": True}, NOT_MET + "Type mismatch of '/max_tokens', 'boolean' not in 'integer'"),
        ({**HI, "max_tokens": 1.5}, NOT_MET + "Type mismatch of '/max_tokens', 'number' not in 'integer'"),
        ({**HI, "max_tokens": 0}, NOT_MET + "'/max_tokens' must be between 1 and 2147483647"),
        ({**HI, "temperature": 5.1}, NOT_MET + "'/temperature' must be between 0 and 5"),
        ({**HI, "temperature": float("nan")}, NOT_MET + "'/temperature' must be between 0 and 5"),
        ({**HI, "seed": 10**5000}, NOT_MET + "'/seed' must be between 1 and 9999999999"),
        ({**HI, "stream": "yes"}, NOT_MET + "Type mismatch of '/stream', 'string' not in 'boolean'"),
        ({**HI, "stream": 1}, NOT_MET + "Type mismatch of '/stream', 'integer' not in 'boolean'"),
        ({**HI, "stop": 3}, NOT_MET + "Type mismatch of '/stop', 'integer' not in 'string,array'"),
        ({**HI, "stop": ["a", 3]}, NOT_MET + "Type mismatch of '/stop/1', 'integer' not in 'string'"),
    ],
)  # fmt: skip
def test_bad_input(inputs: Any, text: str) -> None:
    error = refused(inputs)
    assert (error.code, error.status, error.name) == (5006, 400, "Bad input")
    assert error.description == f"Error: {text}"


def test_ranges_depend_on_the_models_schema() -> None:
    assert generate({**HI, "frequency_penalty": -2}, NEWER).frequency_penalty == -2
    negative = refused({**HI, "frequency_penalty": -2})
    assert "'/frequency_penalty' must be between 0 and 2" in negative.description
    assert "'/top_p' must be between 0.001 and 1" in refused({**HI, "top_p": 2}, NEWER).description


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{"name": "f", "code": ""}]), ("function_call", {"name": "f"}), ("n", 2),
        ("requests", [{"prompt": "hi"}]), ("request_id", "x"), ("input", "hi"), ("image", [1]),
        ("logprobs", True), ("top_logprobs", 3), ("suffix", "x"), ("echo", True), ("best_of", 2),
        ("modalities", ["audio"]), ("web_search_options", {}),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_not_ignored(name: str, value: Any) -> None:
    error = refused({**HI, name: value})
    assert error.code == 5006
    assert error.description.startswith(f"Error: '/{name}' is not served here")


def test_an_adapter_is_named_and_found_later() -> None:
    asked = text_generation({**HI, "lora": "mine"}, CLASSIC)
    assert (asked.lora, asked.generate.lora) == ("mine", None)


def test_options() -> None:
    refuse_options({"queueRequest": "false", "tags": ["a"], "gateway": {"id": "x"}, "anything": 1})
    for options in ({"queueRequest": True}, {"queueRequest": "true"}, {"websocket": True}):
        with pytest.raises(ModelError, match="5006"):
            refuse_options(options)


def test_many_mistakes_get_a_short_answer() -> None:
    assert len(refused({"messages": [3] * 100_000}).description) < 1000


def _anything(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value, often close to one that would be right."""
    simple = [None, True, False, 0, 1, -1, 256, 0.5, 1e300, 10**30, "", "hi", "true", "user", "text", [], {}]
    if depth > 3 or chance.random() < 0.5:
        return chance.choice(simple)
    if chance.random() < 0.5:
        return [_anything(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = [
        "prompt", "messages", "role", "content", "type", "text", "max_tokens", "temperature", "top_p",
        "seed", "stop", "stream", "raw", "tools", "tool_calls", "n", "name", "response_format", "lora",
        "function", "arguments", "parameters", "tool_choice", "json_schema", "schema", "guided_json", "input",
        "image_url", "url", "logit_bias", "logprobs", "reasoning", "effort", "include", "stream_options", "call_id",
    ]  # fmt: skip
    return {chance.choice(names): _anything(chance, depth + 1) for _ in range(chance.randrange(6))}


def test_any_json_is_either_refused_or_a_request_an_engine_can_take() -> None:
    chance = random.Random(20240314)
    for _ in range(5000):
        inputs = _anything(chance)
        try:
            model, form = chance.choice([CLASSIC, NEWER, OPENAI]), chance.choice(["", CHAT, COMPLETION, RESPONSES])
            asked = text_generation(inputs, model, form).generate
        except ModelError as error:
            assert 400 <= error.status < 500  # noqa: PT017
            assert len(error.description) < 2000  # noqa: PT017
            continue
        assert (asked.prompt is None) != (asked.messages is None)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Generate) == asked
