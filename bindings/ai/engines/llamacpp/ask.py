"""A request in llama.cpp's words."""

from __future__ import annotations

from typing import Any

from bindings.ai.engine.features import forced
from bindings.ai.engine.protocol import Generate
from bindings.ai.engines import tool_prompt


def body(request: Generate, prompt: list[int], number: int, grammar: dict[str, Any] | None) -> dict[str, Any]:
    """The request in llama.cpp's words, kept to the schema ``grammar``.

    What is not asked for keeps llama.cpp's own defaults.
    """
    options = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "repeat_penalty": request.repetition_penalty,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop": request.stop or None,
        "seed": None if request.seed is None else (request.seed + number) % 0xFFFFFFFF,  # the last: "random"
        "logit_bias": request.logit_bias or None,
        "ignore_eos": request.ignore_eos or None,
        "logprobs": None if request.logprobs is None else max(1, request.logprobs),
        "json_schema": grammar,
    }
    repeatable = request.seed is not None or request.temperature == 0
    return {
        "prompt": prompt,
        "max_tokens": request.max_tokens,
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        "cache_prompt": not repeatable,  # what is cached was computed in other batches: other rounding
        "repeat_last_n": len(prompt) + request.max_tokens,  # penalties look at the whole text, as vLLM's do
        **{key: value for key, value in options.items() if value is not None},
    }


def offered_tools(request: Generate) -> list[dict[str, Any]]:
    return request.tools if request.tool_choice != "none" else []


def schema(request: Generate) -> dict[str, Any] | None:
    """What the whole answer must match."""
    if forced(request):
        return tool_prompt.call_schema(request)
    return None if request.json_schema is None else request.json_schema or {"type": "object"}


def is_kept_to_a_grammar(request: Generate) -> bool:
    return schema(request) is not None


def template_options(request: Generate) -> dict[str, Any]:
    """Thoughts are asked for by name, or by effort; a grammar leaves no room for them."""
    options: dict[str, Any] = {}
    if request.reasoning_effort is not None:
        options = {"reasoning_effort": request.reasoning_effort, "enable_thinking": request.reasoning_effort != "none"}
    if is_kept_to_a_grammar(request):
        options["enable_thinking"] = False
    return {**options, **request.chat_template_kwargs}


__all__ = ["body", "is_kept_to_a_grammar", "offered_tools", "schema", "template_options"]
