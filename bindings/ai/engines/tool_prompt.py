"""Tools for models whose chat template knows none: told in words, and found again in the answer.

The words are those of the Hermes models, the format that most models have seen: functions as JSON in the system
message, a call as ``<tool_call>{"name": …, "arguments": …}</tool_call>``, a result in ``<tool_response>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec

from bindings.ai.engine import Generate

START, END = "<tool_call>", "</tool_call>"
Message = dict[str, Any]
Json = dict[str, Any]


def taught(messages: list[Message], tools: list[Json]) -> list[Message]:
    """The messages with ``tools`` explained in the first of them, and past calls and results in words."""
    said = [_in_words(message) for message in messages]
    if not tools:
        return said
    system = said.pop(0)["content"] + "\n\n" if said and said[0]["role"] == "system" else ""
    return [{"role": "system", "content": system + _instruction(tools)}, *said]


def concerns(messages: list[Message]) -> bool:
    """Whether there are calls or results among them."""
    return any(message["role"] == "tool" or message.get("tool_calls") for message in messages)


def forced(request: Generate) -> bool:
    """Whether the answer must be a call."""
    return bool(request.tools) and request.tool_choice not in (None, "auto", "none")


def call_schema(request: Generate) -> Json:
    """The JSON Schema of one call of a tool that ``tool_choice`` allows."""
    choice = request.tool_choice
    only = choice["function"]["name"] if isinstance(choice, dict) else None
    functions = [tool["function"] for tool in request.tools if only in (None, tool["function"]["name"])]
    return {"anyOf": [_call_schema(function) for function in functions]}


class Calls:
    """Reads one answer: text before the first call passes as it comes, calls when the answer is complete.

    ``bare``: the whole answer is a call, without tags.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self._held, self._calling = "", bare

    def read(self, text: str, *, last: bool) -> tuple[str, list[Json]]:
        """(text to show, calls in OpenAI's stream form)."""
        self._held += text
        shown = "" if self._calling else self._before_calls(last)
        if not (last and self._calling):
            return shown, []
        calls = [_call(found, number) for number, found in enumerate(_found(self._held))]
        return (shown, calls) if calls else (shown + self._held, [])

    def _before_calls(self, last: bool) -> str:
        """What is certainly no beginning of a call."""
        at = self._held.find(START)
        self._calling = at >= 0
        if not self._calling:
            at = len(self._held) - (0 if last else overlap(self._held, START))
        shown, self._held = self._held[:at], self._held[at:]
        return shown


def overlap(text: str, tag: str) -> int:
    """How many of the last characters of ``text`` may be the beginning of ``tag``."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)


def _found(text: str) -> Iterator[Json]:
    """The calls in ``text``: what can be read of it, JSON objects with a name."""
    for part in text.split(START):
        try:
            call = msgspec.json.decode(part.partition(END)[0].strip())
        except (msgspec.DecodeError, RecursionError):
            continue
        if isinstance(call, dict) and isinstance(call.get("name"), str):
            yield call


def _call(call: Json, number: int) -> Json:
    arguments = msgspec.json.encode(call.get("arguments") or {}).decode()
    function = {"name": call["name"], "arguments": arguments}
    return {"index": number, "id": f"call_{uuid4().hex[:24]}", "type": "function", "function": function}


def _call_schema(function: Json) -> Json:
    properties = {"name": {"const": function["name"]}, "arguments": function.get("parameters") or {"type": "object"}}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _instruction(tools: list[Json]) -> str:
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (
        "You may call one or more functions to answer. Their signatures are within <tools></tools>:\n"
        f"<tools>\n{listed}\n</tools>\n"
        f"To call a function, answer with a JSON object with its name and arguments within {START}{END}:\n"
        f'{START}\n{{"name": <function-name>, "arguments": <arguments-object>}}\n{END}'
    )


def _in_words(message: Message) -> Message:
    content = message.get("content") or ""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    if not (calls := message.get("tool_calls")):
        return {**message, "content": content}
    said = [f'{START}\n{{"name": {json.dumps(function["name"])}, "arguments": {function["arguments"]}}}\n{END}'
            for function in (call["function"] for call in calls)]
    return {"role": message["role"], "content": "\n".join(filter(None, [content, *said]))}


__all__ = ["Calls", "call_schema", "concerns", "forced", "overlap", "taught"]
