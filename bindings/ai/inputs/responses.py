"""The Responses API's input as a chat: what OpenAI's newer clients send to ``/responses``, and to ``ai/run``
as ``input`` (docs/reference/workers-ai.md#text-generation, #openais-api).

Nothing is kept here from one request to the next: what would need that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.inputs.checks import Fields, absent, mismatch, required

UNSERVED: dict[str, Callable[[Any], bool]] = {  # option → the values that change nothing and may pass
    "previous_response_id": lambda value: False,
    "conversation": lambda value: False,
    "prompt": lambda value: False,
    "store": lambda value: value is False,
    "background": lambda value: value is False,
    "truncation": lambda value: value == "disabled",
}
RENAMED = {"max_output_tokens": "max_tokens"}
SAME_NAMES = (
    "temperature", "top_p", "top_k", "seed", "stream", "tools", "tool_choice", "parallel_tool_calls", "lora",
    "stop", "chat_template_kwargs", "repetition_penalty", "frequency_penalty", "presence_penalty", "logit_bias",
    "ignore_eos", "stream_options",
)  # fmt: skip
INCLUDE_LOGPROBS = "message.output_text.logprobs"


def as_chat(fields: Fields) -> Fields:
    """The fields of a chat that asks for the same. Raises ModelError 5006."""
    for name, harmless in UNSERVED.items():
        if name in fields and not harmless(fields[name]):
            raise bad_input(f"'/{name}' is not served here: nothing is kept from one request to the next")
    chat = {name: fields[name] for name in SAME_NAMES if name in fields}
    chat |= {ours: fields[theirs] for theirs, ours in RENAMED.items() if theirs in fields}
    chat |= _format(_object(fields, "text").get("format"))
    if (effort := _object(fields, "reasoning").get("effort")) is not None:
        chat["reasoning_effort"] = effort
    if INCLUDE_LOGPROBS in _list(fields, "include"):
        chat |= {"logprobs": True, "top_logprobs": fields.get("top_logprobs", 0)}
    return {**chat, "messages": list(_messages(fields))}


def _format(format: object) -> Fields:
    """``text.format`` is flat where chat completions nest."""
    if not isinstance(format, dict) or format.get("type") != "json_schema":
        return {} if format is None else {"response_format": format}
    schema = format.get("schema")
    if format.get("strict") is True and isinstance(schema, dict):
        schema = {"schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _messages(fields: Fields) -> Iterator[Fields]:
    if (instructions := fields.get("instructions")) is not None:
        yield {"role": "system", "content": instructions}
    items = fields.get("input")
    if isinstance(items, str):
        yield {"role": "user", "content": items}
    elif isinstance(items, list) and items:
        yield from _joined(_item(item, f"/input/{number}") for number, item in enumerate(items))
    else:
        raise bad_input(absent(fields, "/", "input") if not items else mismatch("/input", items, "string,array"))


def _joined(messages: Iterator[Fields | None]) -> Iterator[Fields]:
    """Calls that follow one another, or what the model said with them, are one message."""
    last: Fields | None = None
    for message in messages:
        if message is None:
            continue
        if last is not None and "tool_calls" in message and last["role"] == "assistant":
            last = {**last, "tool_calls": [*last.get("tool_calls", []), *message["tool_calls"]]}
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last


def _item(item: object, at: str) -> Fields | None:
    """One item as a message; None for what no chat template reads."""
    if not isinstance(item, dict):
        raise bad_input(mismatch(at, item, "object"))
    kind = item.get("type") or "message"
    convert = CONVERTERS.get(kind) if isinstance(kind, str) else None
    if convert is None:
        raise bad_input(f"'{at}' of type '{str(kind)[:32]}' is not served here")
    return convert(item, at)


def _message(item: Fields, at: str) -> Fields:
    content = item.get("content")
    if isinstance(content, list):
        content = [_part(part) for part in content]
    return {"role": item.get("role"), "content": content}


def _part(part: object) -> object:
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    return part


def _function_call(item: Fields, at: str) -> Fields:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": item.get("call_id"), "function": function}]}


def _function_call_output(item: Fields, at: str) -> Fields:
    if not isinstance(item.get("call_id"), str):
        raise bad_input(required(at, "call_id"))
    return {"role": "tool", "tool_call_id": item["call_id"], "content": item.get("output")}


def _reasoning(item: Fields, at: str) -> None:
    """A model's earlier reasoning, which no chat template reads."""


CONVERTERS: dict[str, Callable[[Fields, str], Fields | None]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "reasoning": _reasoning,
}


def _list(fields: Fields, name: str) -> list[Any]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise bad_input(mismatch(f"/{name}", value, "array"))
    return value


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise bad_input(mismatch(f"/{name}", value, "object"))
    return value


__all__ = ["as_chat"]
