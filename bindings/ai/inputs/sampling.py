"""From checked fields to the engine's ``Generate``: defaults, limits, and the names an engine knows."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.errors import bad_input
from bindings.ai.inputs import chat, json_mode, tools
from bindings.ai.inputs.checks import Fields

_RARE = {
    "best_of", "chat_template_kwargs", "guided_json", "ignore_eos", "logit_bias", "logprobs", "n",
    "parallel_tool_calls", "reasoning_effort", "response_format", "tool_choice", "tools", "top_logprobs",
}  # fmt: skip


def generate(fields: Fields, model: Model, *, raw: bool = False, fill: bool = False, clip: bool = False) -> Generate:
    """``raw``: unless ``fields`` say otherwise, the prompt goes to the model as it is. Raises ModelError 5006.

    ``fill``: unless they or the project's models.yaml say how long it may be, the answer may fill the window.
    ``clip``: whatever they say, there may be less room.
    """
    raw, unasked = is_true(fields.get("raw", raw)), _unasked(fields, model)
    messages = [chat.openai_message(message) for message in fields["messages"]] if "messages" in fields else None
    if raw and messages is not None:  # no template to put them through: their texts are the prompt
        fields, messages = {**fields, "prompt": "\n".join(map(chat.text_of, messages))}, None
    return _encodable(
        Generate(
            messages=messages,
            **{"raw": raw, **prompt_fields(fields.get("prompt"))},
            max_tokens=_max_tokens(fields) or model.default_max_tokens,
            fill=fill and "max_tokens" in unasked,
            clip=clip,
            temperature=float(fields.get("temperature", model.default_temperature)),
            unasked=unasked,
            top_p=_top_p(fields.get("top_p")),
            top_k=_integer(fields.get("top_k")),
            seed=_integer(fields.get("seed")),
            repetition_penalty=_repetition_penalty(fields.get("repetition_penalty")),
            frequency_penalty=fields.get("frequency_penalty"),
            presence_penalty=fields.get("presence_penalty"),
            stop=_stop(fields.get("stop")),
            context_window=model.context_window,
            max_input_tokens=model.max_input_tokens,
            max_output_tokens=model.max_output_tokens,
            whole=not is_true(fields.get("stream")),
            **_rare_options(fields),
        )
    )


def prompt_fields(prompt: object) -> dict[str, Any]:
    """A prompt as ``Generate`` has it: a text, or token ids."""
    if isinstance(prompt, list):
        return {"prompt_tokens": [*map(int, prompt)], "prompt": None, "raw": True}
    return {"prompt": prompt}


def _rare_options(fields: Fields) -> dict[str, Any]:
    """The options that few requests have."""
    if _RARE.isdisjoint(fields):
        return {}
    tool_list = fields.get("tools") or []
    alternatives = fields.get("logprobs")
    if isinstance(alternatives, bool | str):
        alternatives = _integer(fields.get("top_logprobs", 0)) if is_true(alternatives) else None
    if alternatives is None and fields.get("best_of", 1) > fields.get("n", 1):  # how else to know the best?
        alternatives = 0
    return {
        "json_schema": json_mode.schema(fields),
        "tools": tools.openai_form(tool_list),
        "tool_choice": tools.openai_choice(fields.get("tool_choice"), tool_list),
        "parallel_tool_calls": is_true(fields.get("parallel_tool_calls", True)),
        "n": max(int(fields.get("n", 1)), int(fields.get("best_of", 1))),
        "logprobs": _integer(alternatives),
        "logit_bias": fields.get("logit_bias", {}),
        "ignore_eos": is_true(fields.get("ignore_eos")),
        "reasoning_effort": fields.get("reasoning_effort"),
        "chat_template_kwargs": fields.get("chat_template_kwargs", {}),
    }


def _encodable(request: Generate) -> Generate:
    """``request``, if msgpack can carry it to an engine: not all of JSON's integers fit. Raises ModelError 5006."""
    has_calls = any("tool_calls" in message for message in request.messages or ())
    if has_calls or request.json_schema or request.tools or request.chat_template_kwargs:
        try:
            msgspec.msgpack.encode(request)
        except (OverflowError, RecursionError):
            raise bad_input("a number does not fit in 64 bits, or the nesting is too deep") from None
    return request


def _max_tokens(fields: Fields) -> int:
    """0: the request has none. ``max_completion_tokens`` is the newer schemas' name for it."""
    return int(fields.get("max_completion_tokens") or fields.get("max_tokens") or 0)


def _unasked(fields: Fields, model: Model) -> list[str]:
    """The options for which neither the request nor the project's own models.yaml has a value."""
    unasked = []
    if not (_max_tokens(fields) or "default_max_tokens" in model.own):
        unasked.append("max_tokens")
    if not ("temperature" in fields or "default_temperature" in model.own):
        unasked.append("temperature")
    return unasked


def is_true(value: object) -> bool:
    return value in (True, "true")


def _integer(value: float | None) -> int | None:
    return None if value is None else int(value)


def _top_p(top_p: float | None) -> float | None:
    """Older schemas allow 0 to 2; beyond 1 means no cut at all, and 0 the single likeliest token."""
    return None if top_p is None else float(min(max(top_p, 0.001), 1))


def _repetition_penalty(penalty: float | None) -> float | None:
    """The published range begins at 0, by which nobody can divide."""
    return None if penalty is None else max(float(penalty), 0.01)


def _stop(stop: str | list[str] | None) -> list[str]:
    return [stop] if isinstance(stop, str) and stop else list(stop or [])


__all__ = ["generate", "is_true", "prompt_fields"]
