"""Reading an answer piece by piece: what is said, thought and called, wherever the pieces happen to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bindings.ai.engine import Generate
from bindings.ai.engines.thoughts import Thoughts
from bindings.ai.engines.tool_prompt import Calls, call_schema, taught

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("one", "two")]
CALL = '<tool_call>\n{"name": "one", "arguments": {"a": "<b>"}}\n</tool_call>'


def read(reader: Any, text: str, size: int) -> tuple[str, list[Any]]:
    pieces = [text[at:at + size] for at in range(0, len(text), size)]
    said = [reader.read(piece, last=number == len(pieces)) for number, piece in enumerate(pieces, 1)]
    return "".join(text for text, _ in said), [other for _, other in said if other]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("text", "shown", "names"), [
    ("just text with < and <tool", "just text with < and <tool", []),
    (f"Let me see. {CALL}", "Let me see. ", ["one"]),
    (f'{CALL}\n<tool_call>{{"name": "two"}}</tool_call>', "", ["one", "two"]),
    ('<tool_call>{"name": "two", "arguments": {}}', "", ["two"]),
    ('<tool_call>{"name": "tw', '<tool_call>{"name": "tw', []),
    ("<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>", []),
])
def test_calls(text: str, shown: str, names: list[str], size: int) -> None:
    said, found = read(Calls(), text, size)
    calls = [call for calls in found for call in calls]
    assert said == shown
    assert [call["function"]["name"] for call in calls] == names
    assert [call["index"] for call in calls] == [*range(len(names))]
    assert len({call["id"] for call in calls}) == len(names)
    if names[:1] == ["one"]:
        assert json.loads(calls[0]["function"]["arguments"]) == {"a": "<b>"}


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("prompt", "text", "said", "thought"), [
    ("hi", "plain", "plain", ""),
    ("hi", "<b>bold</b>", "<b>bold</b>", ""),
    ("hi", "\n<think>so < so</think>\n\nanswer", "answer", "so < so"),
    ("<think>\n", "so</think>answer", "answer", "so"),
    ("<think>\n", "never ends </thin", "", "never ends </thin"),
    ("hi", "<th", "<th", ""),
    ("<think></think>", "answer", "answer", ""),
])
def test_thoughts(prompt: str, text: str, said: str, thought: str, size: int) -> None:
    shown, found = read(Thoughts(prompt), text, size)
    assert (shown.lstrip("\n"), "".join(found)) == (said, thought)


def test_tools_are_told_in_the_system_message() -> None:
    told = taught([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], TOOLS)
    assert [message["role"] for message in told] == ["system", "user"]
    assert told[0]["content"].startswith("Be brief.\n\n")
    assert all(json.dumps(tool) in told[0]["content"] for tool in TOOLS)


def test_past_calls_and_results_are_told_in_words() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "one", "arguments": '{"a": 1}'}}
    told = taught([{"role": "assistant", "content": None, "tool_calls": [call]},
                   {"role": "tool", "tool_call_id": "x", "content": "42"}], [])
    assert told[0] == {"role": "assistant",
                       "content": '<tool_call>\n{"name": "one", "arguments": {"a": 1}}\n</tool_call>'}
    assert told[1] == {"role": "user", "content": "<tool_response>\n42\n</tool_response>"}


def test_a_named_tool_is_the_only_one_that_fits() -> None:
    named = {"type": "function", "function": {"name": "two"}}
    for choice, names in (("required", ["one", "two"]), (named, ["two"])):
        schema = call_schema(Generate(tools=TOOLS, tool_choice=choice))
        assert [one["properties"]["name"]["const"] for one in schema["anyOf"]] == names
