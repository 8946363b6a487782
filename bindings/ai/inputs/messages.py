"""A request of Anthropic's Messages API as a chat.

What only steers Anthropic's own machines (``cache_control``, ``metadata``, ``service_tier``, fields of its betas) is
ignored; what would change the answer and is not served is refused, in Anthropic's words.
"""

from __future__ import annotations

from collections.abc import Iterator

from bindings.ai.inputs import message_blocks as blocks
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.message_blocks import invalid

SAME_NAMES = ("temperature", "top_p", "top_k", "stream", "lora", "seed", "chat_template_kwargs", "reasoning_effort")
RENAMED = {"max_tokens": "max_tokens", "stop_sequences": "stop"}
UNSERVED = ("mcp_servers", "container")
TOOL_CHOICES: dict[str, str] = {"auto": "auto", "any": "required", "none": "none"}
BILLING_HEADER = (
    "x-anthropic-billing-header:"  # differs in each request: at the head of a prompt it defeats prefix caching
)


def as_chat(fields: Fields) -> Fields:
    """The fields of a chat that asks for the same. Raises ModelError 5006."""
    for name in ("max_tokens", "messages"):
        if name not in fields:
            raise invalid(name, "Field required")
    for name in UNSERVED:
        if fields.get(name):
            raise invalid(name, "not served here")
    chat = {name: fields[name] for name in SAME_NAMES if name in fields}
    chat |= {ours: fields[theirs] for theirs, ours in RENAMED.items() if theirs in fields}
    if chat.get("top_k") == 0:
        del chat["top_k"]
    return {**chat, **_tools(fields), **_format(fields), "messages": [*_system(fields), *_messages(fields)]}


def shows_thinking(fields: Fields) -> bool:
    """Whether the answer has thinking blocks: only if the request enables them, as upstream."""
    thinking = fields.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")


def _system(fields: Fields) -> Iterator[Fields]:
    system = fields.get("system")
    if isinstance(system, list):
        system = [part for part in blocks.text_parts(system, "system") if not part["text"].startswith(BILLING_HEADER)]
    elif not isinstance(system, str | None):
        raise invalid("system", "Input should be a string or a list of text blocks")
    if system:
        yield {"role": "system", "content": system}


def _messages(fields: Fields) -> Iterator[Fields]:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "at least one message is required")
    for number, message in enumerate(messages):
        at = f"messages.{number}"
        if not isinstance(message, dict):
            raise invalid(at, "Input should be an object")
        if (convert := blocks.CONVERTERS.get(str(message.get("role")))) is None:
            raise invalid(f"{at}.role", "Input should be 'user' or 'assistant'")
        yield from convert(blocks.blocks_of(message.get("content"), f"{at}.content"), f"{at}.content")
    if messages[-1]["role"] == "assistant":
        raise invalid(
            "messages", "the conversation must end with a user message: no answer is begun for the model here"
        )


def _tools(fields: Fields) -> Fields:
    tools = fields.get("tools")
    if not isinstance(tools, list | None):
        raise invalid("tools", "Input should be a list")
    converted = [_tool(tool, f"tools.{number}") for number, tool in enumerate(tools or [])]
    return {"tools": converted, **_choice(fields.get("tool_choice"))} if converted else {}


def _tool(tool: object, at: str) -> Fields:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise invalid(f"{at}.name", "Field required")
    if (kind := tool.get("type")) not in (None, "custom"):
        raise invalid(at, f"a tool of type {str(kind)[:40]!r} is not served here: describe it with an 'input_schema'")
    if not isinstance(tool.get("input_schema"), dict):
        raise invalid(f"{at}.input_schema", "Field required")
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {**function, "strict": tool.get("strict")}}


def _choice(choice: object) -> Fields:
    if choice is None:
        return {}
    if not isinstance(choice, dict):
        choice = {}
    kind = choice.get("type")
    if kind == "tool" and isinstance(choice.get("name"), str):
        openai_choice: str | Fields | None = {"type": "function", "function": {"name": choice["name"]}}
    elif (openai_choice := TOOL_CHOICES.get(str(kind))) is None:
        raise invalid("tool_choice", "its type should be 'auto', 'any', 'none', or 'tool' with the tool's 'name'")
    return {"tool_choice": openai_choice, "parallel_tool_calls": choice.get("disable_parallel_tool_use") is not True}


def _format(fields: Fields) -> Fields:
    """Structured outputs: ``output_config.format``, and its name while it was a beta."""
    config = fields.get("output_config")
    format = (config.get("format") if isinstance(config, dict) else None) or fields.get("output_format")
    if format is None:
        return {}
    if not isinstance(format, dict) or format.get("type") != "json_schema":
        raise invalid("output_config.format", 'Input should be {"type": "json_schema", "schema": …}')
    return {"response_format": {"type": "json_schema", "json_schema": format.get("schema")}}


__all__ = ["as_chat", "shows_thinking"]
