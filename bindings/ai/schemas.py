"""models/schema (contract §2.2): a model's inputs and outputs as JSON Schemas.

They are made from the tables that the checks work with, so that a limit is written down once; a test holds
them against the checks themselves. Beyond them, null means absent everywhere and unknown keys are tolerated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bindings.ai import chat, checks, embeddings, json_mode, tools
from bindings.ai.models import Model
from bindings.ai.tasks import kind

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
TEXT: Schema = {"type": "string", "minLength": 1}
ANY_TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
EVENTS: Schema = {"type": "string", "contentType": "text/event-stream", "format": "binary"}
BYTES: Schema = {"type": "string", "format": "binary"}


def of(model: Model) -> dict[str, Schema]:
    """``{"input", "output"}``. A kind that has no entry takes and gives any JSON object."""
    inputs, outputs = KINDS.get(kind(model), (_anything, _anything))
    return {"input": {"$schema": DRAFT, **inputs(model)}, "output": {"$schema": DRAFT, **outputs(model)}}


def _anything(model: Model) -> Schema:
    return OBJECT


def shape(properties: dict[str, Schema], *required: str, **more: Any) -> Schema:
    return {"type": "object", **more, "properties": properties, **({"required": list(required)} if required else {})}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


# Text generation

def _text_input(model: Model) -> Schema:
    options = _options(model)
    prompt = shape({"prompt": TEXT, **options}, "prompt", title="Prompt")
    messages = shape({"messages": _messages(model), **_tools(), **options}, "messages", title="Messages")
    if not model.openai_style:
        return {"type": "object", "oneOf": [prompt, messages]}
    responses = shape({"input": {"anyOf": [TEXT, array(OBJECT, minItems=1)]}, "instructions": ANY_TEXT, **options},
                      "input", title="Responses")
    return {"type": "object", "oneOf": [prompt, messages, responses]}


def _options(model: Model) -> dict[str, Schema]:
    """All that says how to generate, from the ranges in force for the model."""
    older = checks.NEWER_RANGES if model.openai_ranges else checks.RANGES
    ranges = checks.OPENAI_RANGES if model.openai_style else older
    found = {name: _number(*limits) for name, limits in ranges.items()}
    found["max_tokens"]["default"] = model.default_max_tokens
    found["temperature"]["default"] = model.default_temperature
    flags = [name for name in checks.FLAGS if name != "ignore_eos" or model.vision]
    found |= {name: {"type": "boolean", "default": False} for name in flags}
    found |= dict.fromkeys(("chat_template_kwargs", "stream_options", "guided_json"), OBJECT)
    found["stop"] = {"anyOf": [ANY_TEXT, array(TEXT)]}
    found["logit_bias"] = {"type": "object", "patternProperties": {"^[0-9]{1,9}$": _number("number", -100, 100)},
                           "additionalProperties": False}
    found["reasoning_effort"] = {"enum": list(checks.EFFORTS)}
    found["response_format"] = _response_format()
    return found | ({"lora": TEXT} if model.lora else {})


def _number(kind: str, low: float, high: float) -> Schema:
    return {"type": kind, "minimum": low, "maximum": high}


def _response_format() -> Schema:
    """A schema is needed for ``json_schema`` only; bare, or in OpenAI's wrapping."""
    free = [name for name in json_mode.KINDS if name != "json_schema"]
    return {"type": "object", "oneOf": [
        shape({"type": {"enum": free}, "json_schema": OBJECT}, "type"),
        shape({"type": {"const": "json_schema"}, "json_schema": OBJECT}, "type", "json_schema"),
    ]}


def _messages(model: Model) -> Schema:
    parts = [shape({"type": {"enum": list(chat.TEXT_PARTS)}, "text": ANY_TEXT}, "type", "text")]
    if model.vision:
        url = shape({"url": {"type": "string", "pattern": chat.IMAGE.pattern.removesuffix(r"\Z") + "$"}}, "url")
        parts.append(shape({"type": {"const": "image_url"}, "image_url": url}, "type", "image_url"))
    content = {"anyOf": [ANY_TEXT, array({"anyOf": parts})]}
    called = shape({"name": TEXT, "arguments": {"anyOf": [OBJECT, ANY_TEXT]}}, "name")
    call = {"anyOf": [shape({"id": ANY_TEXT, "type": {"const": "function"}, "function": called}, "function"), called]}
    said = {"role": TEXT, "content": content, "name": ANY_TEXT, "tool_call_id": ANY_TEXT}
    asked = shape({**said, "content": {"anyOf": [content, {"type": "null"}]}, "tool_calls": array(call, minItems=1)},
                  "role", "tool_calls")
    return array({"anyOf": [shape(said, "role", "content"), asked]}, minItems=1)


def _tools() -> dict[str, Schema]:
    flat = shape({"name": TEXT, "description": ANY_TEXT, "parameters": OBJECT}, "name")
    wrapped = shape({"type": {"const": "function"}, "function": flat}, "type", "function")
    named = shape({"type": {"const": "function"}, "function": shape({"name": TEXT}, "name")}, "function")
    choice = {"anyOf": [{"enum": list(tools.WORDS)}, named]}
    return {"tools": array({"anyOf": [wrapped, flat]}), "tool_choice": choice}


def _text_output(model: Model) -> Schema:
    whole = _chat_completion() if model.openai_style else _classic()
    return {"oneOf": [whole, EVENTS]}


def _classic() -> Schema:
    call = shape({"name": ANY_TEXT, "arguments": OBJECT}, "name", "arguments")
    response = {"type": ["string", "object", "array", "number", "boolean", "null"],
                "description": "the text; in JSON mode the value itself; null where tools are called"}
    return shape({"response": response, "tool_calls": array(call), "usage": _usage()}, "response", "usage")


def _chat_completion() -> Schema:
    message = shape({"role": {"const": "assistant"}, "content": {"type": ["string", "null"]},
                     "reasoning_content": {"type": ["string", "null"]}, "tool_calls": array(OBJECT)}, "role")
    choice = shape({"index": COUNT, "message": message, "finish_reason": {"type": ["string", "null"]}},
                   "index", "message", "finish_reason")
    return shape({"id": ANY_TEXT, "object": {"const": "chat.completion"}, "created": COUNT, "model": ANY_TEXT,
                  "choices": array(choice, minItems=1), "usage": _usage()}, "id", "object", "choices", "usage")


def _usage() -> Schema:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return shape(dict.fromkeys(names, COUNT), *names)


# The other tasks

def _embedding_input(model: Model) -> Schema:
    return EMBEDDING_INPUTS[model.form](_texts(model.max_batch or embeddings.MOST), model)


def _plain_embedding(texts: Schema, model: Model) -> Schema:
    return shape({"text": texts, "pooling": {"enum": list(embeddings.POOLINGS)}}, "text")


def _m3_embedding(texts: Schema, model: Model) -> Schema:
    contexts = _contexts(maxItems=model.max_batch or embeddings.MOST)
    fields = {"text": texts, "query": TEXT, "contexts": contexts, "truncate_inputs": {"type": "boolean"}}
    return {**shape(fields), "anyOf": [{"required": ["text"]}, {"required": ["contexts"]}]}


def _qwen_embedding(texts: Schema, model: Model) -> Schema:
    fields = dict.fromkeys(("text", "queries", "documents"), texts)
    instruction = {**TEXT, "default": embeddings.INSTRUCTION}
    return {**shape({**fields, "instruction": instruction}), "anyOf": [{"required": [name]} for name in fields]}


EMBEDDING_INPUTS: dict[str, Callable[[Schema, Model], Schema]] = {
    "text": _plain_embedding, "m3": _m3_embedding, "qwen": _qwen_embedding,
}


def _embedding_output(model: Model) -> Schema:
    vectors = array(array(NUMBER))
    found = shape({"shape": array(COUNT), "data": vectors, "pooling": {"enum": list(embeddings.POOLINGS)}},
                  "shape", "data")
    if model.form != "m3":
        return found
    unnamed = shape({"response": vectors, "shape": array(COUNT), "pooling": ANY_TEXT}, "response", "shape")
    return {"oneOf": [found, _ranking(model), unnamed]}


def _texts(most: int) -> Schema:
    return {"anyOf": [TEXT, array(TEXT, minItems=1, maxItems=most)]}


def _contexts(**limits: int) -> Schema:
    return array(shape({"text": TEXT}, "text"), minItems=1, **limits)


def _reranking_input(model: Model) -> Schema:
    top = {"type": "integer", "minimum": 1}
    return shape({"query": TEXT, "contexts": _contexts(), "top_k": top}, "query", "contexts")


def _ranking(model: Model) -> Schema:
    return shape({"response": array(shape({"id": COUNT, "score": NUMBER}, "id", "score"))}, "response")


def _classification_input(model: Model) -> Schema:
    return shape({"text": TEXT}, "text")


def _classification_output(model: Model) -> Schema:
    return array(shape({"label": ANY_TEXT, "score": NUMBER}, "label", "score"))


KINDS: dict[str, tuple[Callable[[Model], Schema], Callable[[Model], Schema]]] = {
    "Text Generation": (_text_input, _text_output),
    "Text Embeddings": (_embedding_input, _embedding_output),
    "Reranking": (_reranking_input, _ranking),
    "Text Classification": (_classification_input, _classification_output),
}

__all__ = ["of"]
