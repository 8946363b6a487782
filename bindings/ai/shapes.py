"""Inputs and outputs per task, checked at the door: JSON comes in, a ``Generate`` goes on.

null means absent and unknown keys are tolerated, as the service has it. An option that would change the
answer but is not served is refused rather than ignored; to serve one, take it out of ``UNSERVED`` and put it
into ``_generate``. ``bindings.ai.checks`` has the wording of the complaints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bindings.ai import checks
from bindings.ai.checks import Fields
from bindings.ai.engine import Generate
from bindings.ai.errors import AiError, bad_input, lora_unsupported
from bindings.ai.models import Model

COMPLAINTS = 8  # at most so many in one answer: a body of a million bad messages is answered briefly


def _is_empty(value: Any) -> bool:
    return not value


UNSERVED: dict[str, Callable[[Any], bool]] = {  # option → the values that change nothing and may pass
    "tools": _is_empty,
    "functions": _is_empty,
    "tool_choice": lambda value: value in ("none", "auto"),
    "response_format": lambda value: isinstance(value, dict) and value.get("type") == "text",
    "guided_json": _is_empty,
    "lora": _is_empty,
    "image": _is_empty,
    "input": _is_empty,
    "requests": _is_empty,
    "request_id": _is_empty,
    "logprobs": _is_empty,
    "top_logprobs": _is_empty,
    "logit_bias": _is_empty,
    "n": lambda value: value == 1,
    "suffix": _is_empty,
    "echo": _is_empty,
    "reasoning_effort": _is_empty,
    "chat_template_kwargs": _is_empty,
    "ignore_eos": _is_empty,
}
UNSERVED_OPTIONS = ("queueRequest", "websocket")


@dataclass(frozen=True)
class TextInput:
    """A checked text-generation request, and whether its answer is wanted as a stream."""

    generate: Generate
    stream: bool


def text_generation(inputs: Any, model: Model) -> TextInput:
    """The inputs of ``run`` for ``model``. Raises AiError 5006 (bad input), 5005 (LoRA)."""
    if not isinstance(inputs, dict):
        raise bad_input(checks.mismatch("/", inputs, "object"))
    fields = {key: value for key, value in inputs.items() if value is not None}
    _drop_empty_shape(fields)
    _refuse_unserved(fields, model)
    ranges = checks.OPENAI_RANGES if model.openai_ranges or model.openai_style else checks.RANGES
    if complaints := list(islice(checks.text_generation(fields, ranges), COMPLAINTS)):
        raise bad_input("oneOf at '/' not met, 0 matches: " + ", ".join(complaints))
    if "prompt" in fields and "messages" in fields:
        raise bad_input("oneOf at '/' not met, 2 matches: prompt and messages are mutually exclusive")
    return TextInput(_generate(fields, model), _truth(fields.get("stream")))


def text_result(text: str, prompt_tokens: int, completion_tokens: int) -> Fields:
    """The classic result (contract §1.5), key order as the service writes it."""
    return {"response": text, "tool_calls": [], "usage": usage(prompt_tokens, completion_tokens)}


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def refuse_options(options: Mapping[str, Any]) -> None:
    """Options of ``run`` (or its query string) that would change the answer's kind and are not served."""
    for name in UNSERVED_OPTIONS:
        if options.get(name) not in (None, False, "false", ""):
            raise bad_input(f"option '{name}' is not served here")


# Refusing

def _drop_empty_shape(fields: Fields) -> None:
    """An empty prompt beside messages (or the reverse) matches one shape, not two."""
    for name, other in (("prompt", "messages"), ("messages", "prompt")):
        if fields.get(other) and fields.get(name) in ("", []):
            del fields[name]


def _refuse_unserved(fields: Fields, model: Model) -> None:
    for name, harmless in UNSERVED.items():
        if name in fields and not harmless(fields[name]):
            raise _unserved(name, model)


def _unserved(name: str, model: Model) -> AiError:
    return lora_unsupported(model.id) if name == "lora" else bad_input(f"'/{name}' is not served here")


# Building

def _generate(fields: Fields, model: Model) -> Generate:
    raw = _truth(fields.get("raw"))
    messages = [_plain(message) for message in fields["messages"]] if "messages" in fields else None
    if raw and messages is not None:  # no template to put them through: their texts are the prompt
        fields, messages = {**fields, "prompt": "\n".join(message["content"] for message in messages)}, None
    return Generate(
        prompt=fields.get("prompt"),
        messages=messages,
        raw=raw,
        max_tokens=_max_tokens(fields, model),
        temperature=float(fields.get("temperature", model.default_temperature)),
        top_p=_clamped(fields.get("top_p")),
        top_k=_whole(fields.get("top_k")),
        seed=_whole(fields.get("seed")),
        repetition_penalty=fields.get("repetition_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        presence_penalty=fields.get("presence_penalty"),
        stop=_stops(fields.get("stop")),
        context_window=model.context_window,
        max_input_tokens=model.max_input_tokens,
        max_output_tokens=model.max_output_tokens,
    )


def _plain(message: Fields) -> Fields:
    """A message with its text parts as one string, and without what no chat template reads."""
    content = message["content"]
    if not isinstance(content, str):
        content = "\n".join(part["text"] for part in checks.parts(content))
    plain = {"role": message["role"], "content": content}
    if isinstance(message.get("name"), str):
        plain["name"] = message["name"]
    return plain


def _max_tokens(fields: Fields, model: Model) -> int:
    """``max_completion_tokens`` is the newer schemas' name for it; never "fill the context", even unasked."""
    return int(fields.get("max_completion_tokens") or fields.get("max_tokens") or model.default_max_tokens)


def _truth(value: Any) -> bool:
    return value in (True, "true")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _clamped(top_p: float | None) -> float | None:
    """Older schemas allow 0 to 2; beyond 1 means no cut at all, and 0 the single likeliest token."""
    return None if top_p is None else float(min(max(top_p, 0.001), 1))


def _stops(stop: str | list[str] | None) -> list[str]:
    return [stop] if isinstance(stop, str) and stop else list(stop or [])


__all__ = ["TextInput", "refuse_options", "text_generation", "text_result", "usage"]
