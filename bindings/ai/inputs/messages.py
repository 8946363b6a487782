"""A request of Anthropic's Messages API as a chat.

What only steers Anthropic's own machines (``cache_control``, ``metadata``, ``service_tier``, fields of its betas) is
read over; what would change the answer and is not served is refused, in Anthropic's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bindings.ai.inputs import message_blocks as blocks
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.message_blocks import bad

SAME = ("temperature", "top_p", "top_k", "stream", "lora", "seed", "chat_template_kwargs", "reasoning_effort")
RENAMED = {"max_tokens": "max_tokens", "stop_sequences": "stop"}
UNSERVED = ("mcp_servers", "container")
CHOICES: dict[str, str] = {"auto": "auto", "any": "required", "none": "none"}
BILLING = "x-anthropic-billing-header:"  # differs each time: before all else it would undo a cache of prefixes


def as_chat(fields: Fields) -> Fields:
    """The fields of a chat that asks for the same. Raises AiError 5006."""
    for name in ("max_tokens", "messages"):
        if name not in fields:
            raise bad(name, "Field required")
    for name in UNSERVED:
        if fields.get(name):
            raise bad(name, "not served here")
    chat = {name: fields[name] for name in SAME if name in fields}
    chat |= {ours: fields[theirs] for theirs, ours in RENAMED.items() if theirs in fields}
    if chat.get("top_k") == 0:
        del chat["top_k"]
    return {**chat, **_tools(fields), **_format(fields), "messages": [*_system(fields), *_messages(fields)]}


def thinks(fields: Fields) -> bool:
    """Whether the answer is to show thoughts: they are asked for, as upstream."""
    given = fields.get("thinking")
    return isinstance(given, dict) and given.get("type") in ("enabled", "adaptive")


def _system(fields: Fields) -> Iterator[Fields]:
    given = fields.get("system")
    if isinstance(given, list):
        given = [part for part in blocks.texts(given, "system") if not part["text"].startswith(BILLING)]
    elif not isinstance(given, str | None):
        raise bad("system", "Input should be a string or a list of text blocks")
    if given:
        yield {"role": "system", "content": given}


def _messages(fields: Fields) -> Iterator[Fields]:
    given = fields["messages"]
    if not isinstance(given, list) or not given:
        raise bad("messages", "at least one message is required")
    for number, message in enumerate(given):
        at = f"messages.{number}"
        if not isinstance(message, dict):
            raise bad(at, "Input should be an object")
        if (make := blocks.ROLES.get(str(message.get("role")))) is None:
            raise bad(f"{at}.role", "Input should be 'user' or 'assistant'")
        yield from make(blocks.listed(message.get("content"), f"{at}.content"), f"{at}.content")
    if given[-1]["role"] == "assistant":
        raise bad("messages", "the conversation must end with a user message: no answer is begun for the model here")


def _tools(fields: Fields) -> Fields:
    given = fields.get("tools")
    if not isinstance(given, list | None):
        raise bad("tools", "Input should be a list")
    tools = [_tool(tool, f"tools.{number}") for number, tool in enumerate(given or [])]
    return {"tools": tools, **_choice(fields.get("tool_choice"))} if tools else {}


def _tool(tool: Any, at: str) -> Fields:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise bad(f"{at}.name", "Field required")
    if (kind := tool.get("type")) not in (None, "custom"):
        raise bad(at, f"a tool of type {str(kind)[:40]!r} is not served here: describe it with an 'input_schema'")
    if not isinstance(tool.get("input_schema"), dict):
        raise bad(f"{at}.input_schema", "Field required")
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {**function, "strict": tool.get("strict")}}


def _choice(given: Any) -> Fields:
    if given is None:
        return {}
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "tool" and isinstance(given.get("name"), str):
        choice: Any = {"type": "function", "function": {"name": given["name"]}}
    elif (choice := CHOICES.get(str(kind))) is None:
        raise bad("tool_choice", "its type should be 'auto', 'any', 'none', or 'tool' with the tool's 'name'")
    return {"tool_choice": choice, "parallel_tool_calls": given.get("disable_parallel_tool_use") is not True}


def _format(fields: Fields) -> Fields:
    """Structured outputs: ``output_config.format``, and its name while it was a beta."""
    config = fields.get("output_config")
    given = (config.get("format") if isinstance(config, dict) else None) or fields.get("output_format")
    if given is None:
        return {}
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        raise bad("output_config.format", 'Input should be {"type": "json_schema", "schema": …}')
    return {"response_format": {"type": "json_schema", "json_schema": given.get("schema")}}


__all__ = ["as_chat", "thinks"]
