"""JSON Schemas of text generation, from the tables of ``checks``, ``chat``, ``tools`` and ``json_mode``."""

from __future__ import annotations

from bindings.ai.catalog.models import Model
from bindings.ai.inputs import chat, checks, json_mode, tools
from bindings.ai.schemas.parts import ANY_TEXT, COUNT, EVENTS, OBJECT, TEXT, Schema, array, shape, usage


def text_input(model: Model) -> Schema:
    how = options(model)
    prompt = shape({"prompt": TEXT, **how}, "prompt", title="Prompt")
    if "best_of" in how:  # several answers to choose from are a completion's alone
        how["best_of"] = _number("integer", 1, 1)
    chat = shape({"messages": messages(model), **_tools(), **how}, "messages", title="Messages")
    if not model.openai_style:
        return {"type": "object", "oneOf": [prompt, chat]}
    input_schema = {"anyOf": [TEXT, array(OBJECT, minItems=1)]}
    responses = shape({"input": input_schema, "instructions": ANY_TEXT, **how}, "input", title="Responses")
    return {"type": "object", "oneOf": [prompt, chat, responses]}


def options(model: Model) -> dict[str, Schema]:
    """All that says how to generate, from the ranges in force for the model."""
    older = checks.NEWER_RANGES if model.openai_ranges else checks.RANGES
    ranges = checks.OPENAI_RANGES if model.openai_style else older
    schemas = {name: _number(*limits) for name, limits in ranges.items()}
    schemas["max_tokens"]["default"] = model.default_max_tokens
    schemas["temperature"]["default"] = model.default_temperature
    flags = [name for name in checks.FLAGS if name != "ignore_eos" or model.vision]
    schemas |= {name: {"type": "boolean", "default": False} for name in flags}
    schemas |= dict.fromkeys(("chat_template_kwargs", "stream_options", "guided_json"), OBJECT)
    schemas["stop"] = {"anyOf": [ANY_TEXT, array(TEXT)]}
    schemas["logit_bias"] = {
        "type": "object",
        "patternProperties": {"^[0-9]{1,9}$": _number("number", -100, 100)},
        "additionalProperties": False,
    }
    schemas["reasoning_effort"] = {"enum": list(checks.EFFORTS)}
    schemas["response_format"] = _response_format()
    return schemas | ({"lora": TEXT} if model.lora else {})


def _number(kind: str, low: float, high: float) -> Schema:
    return {"type": kind, "minimum": low, "maximum": high}


def _response_format() -> Schema:
    """A schema is needed for ``json_schema`` only; bare, or in OpenAI's wrapping."""
    free = [name for name in json_mode.FORMATS if name != "json_schema"]
    return {
        "type": "object",
        "oneOf": [
            shape({"type": {"enum": free}, "json_schema": OBJECT}, "type"),
            shape({"type": {"const": "json_schema"}, "json_schema": OBJECT}, "type", "json_schema"),
        ],
    }


def messages(model: Model) -> Schema:
    parts = [shape({"type": {"enum": list(chat.TEXT_PARTS)}, "text": ANY_TEXT}, "type", "text")]
    if model.vision:
        url = shape(
            {"url": {"type": "string", "pattern": chat.IMAGE_DATA_URI.pattern.removesuffix(r"\Z") + "$"}}, "url"
        )
        parts.append(shape({"type": {"const": "image_url"}, "image_url": url}, "type", "image_url"))
    content = {"anyOf": [ANY_TEXT, array({"anyOf": parts})]}
    called = shape({"name": TEXT, "arguments": {"anyOf": [OBJECT, ANY_TEXT]}}, "name")
    call = {"anyOf": [shape({"id": ANY_TEXT, "type": {"const": "function"}, "function": called}, "function"), called]}
    fields = {"role": TEXT, "content": content, "name": ANY_TEXT, "tool_call_id": ANY_TEXT, "tool_calls": array(call)}
    with_calls = shape(
        {**fields, "content": {"anyOf": [content, {"type": "null"}]}, "tool_calls": array(call, minItems=1)},
        "role",
        "tool_calls",
    )
    return array({"anyOf": [shape(fields, "role", "content"), with_calls]}, minItems=1)


def _tools() -> dict[str, Schema]:
    flat = shape({"name": TEXT, "description": ANY_TEXT, "parameters": OBJECT}, "name")
    wrapped = shape({"type": {"const": "function"}, "function": flat}, "type", "function")
    named = shape({"type": {"const": "function"}, "function": shape({"name": TEXT}, "name")}, "function")
    choice = {"anyOf": [{"enum": list(tools.TOOL_CHOICES)}, named]}
    return {"tools": array({"anyOf": [wrapped, flat]}), "tool_choice": choice}


def text_output(model: Model) -> Schema:
    whole = _chat_completion() if model.openai_style else _classic()
    return {"oneOf": [whole, EVENTS]}


def _classic() -> Schema:
    call = shape({"name": ANY_TEXT, "arguments": OBJECT}, "name", "arguments")
    response = {
        "type": ["string", "object", "array", "number", "boolean", "null"],
        "description": "the text; in JSON mode the value itself; null where tools are called",
    }
    return shape({"response": response, "tool_calls": array(call), "usage": usage()}, "response", "usage")


def _chat_completion() -> Schema:
    message = shape(
        {
            "role": {"const": "assistant"},
            "content": {"type": ["string", "null"]},
            "reasoning_content": {"type": ["string", "null"]},
            "tool_calls": array(OBJECT),
        },
        "role",
    )
    choice = shape(
        {"index": COUNT, "message": message, "finish_reason": {"type": ["string", "null"]}},
        "index",
        "message",
        "finish_reason",
    )
    return shape(
        {
            "id": ANY_TEXT,
            "object": {"const": "chat.completion"},
            "created": COUNT,
            "model": ANY_TEXT,
            "choices": array(choice, minItems=1),
            "usage": usage(),
        },
        "id",
        "object",
        "choices",
        "usage",
    )


__all__ = ["messages", "options", "text_input", "text_output"]
