"""Tools for models whose chat template knows none: told in words, and found again in the answer.

The words are those of the Hermes models, the format that most models have seen: functions as JSON in the system
message, a call as ``<tool_call>{"name": …, "arguments": …}</tool_call>``, a result in ``<tool_response>``.
"""

from __future__ import annotations

import json
from typing import Any

from bindings.ai.engine.protocol import Generate
from bindings.ai.engines.subschemas import moved
from bindings.ai.engines.tool_calls import END, START, Json

Message = dict[str, Any]


def explain_tools(messages: list[Message], tools: list[Json]) -> list[Message]:
    """The messages with ``tools`` explained in the first of them, and past calls and results in words."""
    rendered = [_in_words(message) for message in messages]
    if not tools:
        return rendered
    system = rendered.pop(0)["content"] + "\n\n" if rendered and rendered[0]["role"] == "system" else ""
    return [{"role": "system", "content": system + _instruction(tools)}, *rendered]


def has_calls(messages: list[Message]) -> bool:
    """Whether there are calls or results among them."""
    return any(message["role"] == "tool" or message.get("tool_calls") for message in messages)


def call_schema(request: Generate) -> Json:
    """The JSON Schema of one call of a tool that ``tool_choice`` allows."""
    choice = request.tool_choice
    only = choice["function"]["name"] if isinstance(choice, dict) else None
    functions = [tool["function"] for tool in request.tools if only in (None, tool["function"]["name"])]
    return {"anyOf": [_call_schema(function, f"#/anyOf/{number}") for number, function in enumerate(functions)]}


def _call_schema(function: Json, at: str) -> Json:
    parameters = moved(function.get("parameters") or {"type": "object"}, f"{at}/properties/arguments")
    properties = {"name": {"const": function["name"]}, "arguments": parameters}
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
    rendered = [
        f'{START}\n{{"name": {json.dumps(function["name"])}, "arguments": {function["arguments"]}}}\n{END}'
        for function in (call["function"] for call in calls)
    ]
    return {"role": message["role"], "content": "\n".join(filter(None, [content, *rendered]))}


__all__ = ["call_schema", "explain_tools", "has_calls"]
