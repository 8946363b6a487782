"""A request in OpenAI's words, and in those that vLLM's and llama.cpp's servers add to them."""

from __future__ import annotations

from typing import Any

from bindings.ai.engine.protocol import Generate

_COPIED = ("top_p", "top_k", "seed", "repetition_penalty", "frequency_penalty", "presence_penalty", "reasoning_effort")
_COPIED_IF_SET = ("stop", "logit_bias", "ignore_eos", "chat_template_kwargs")  # not said where they are empty


def path_and_body(request: Generate, model: str) -> tuple[str, dict[str, Any]]:
    """Where to send it, and what. What is not asked for is left to the server."""
    limits: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    options = {name: value for name, value in limits.items() if name not in request.unasked}
    options |= {name: value for name in _COPIED if (value := getattr(request, name)) is not None}
    options |= {name: value for name in _COPIED_IF_SET if (value := getattr(request, name))}
    if request.n > 1:
        options["n"] = request.n
    if request.json_schema is not None:
        options["response_format"] = _format(request.json_schema)
    path, rest = _completion(request) if request.messages is None and request.raw else _chat(request)
    return path, {"model": model, "stream": True, "stream_options": {"include_usage": True}, **options, **rest}


class ServerDialect:
    """What a server has been found to want otherwise; it is not asked the old way again."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        self._unknown: set[str] = set()

    def adapted(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self._renamed and not self._unknown:
            return body
        return {self._renamed.get(name, name): value for name, value in body.items() if name not in self._unknown}

    def learn(self, body: dict[str, Any], status: int, refusal: str) -> bool:
        """Whether ``refusal``, the server's words, name something in ``body`` that can be said otherwise."""
        if status not in (400, 422):
            return False
        if "max_tokens" in body and "max_completion_tokens" in refusal:
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        if "stream_options" in body and "stream_options" in refusal:
            self._unknown.add("stream_options")
            return True
        return False


def _completion(request: Generate) -> tuple[str, dict[str, Any]]:
    logprobs = {} if request.logprobs is None else {"logprobs": max(1, request.logprobs)}
    return "/completions", {"prompt": request.prompt_tokens or request.prompt, **logprobs}


def _chat(request: Generate) -> tuple[str, dict[str, Any]]:
    rest: dict[str, Any] = {"messages": request.messages or [{"role": "user", "content": request.prompt}]}
    if request.logprobs is not None:
        rest |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}  # llama.cpp's wants one at least
    if request.tools:
        rest |= {"tools": request.tools, "tool_choice": request.tool_choice or "auto"}
        if not request.parallel_tool_calls:
            rest["parallel_tool_calls"] = False
    return "/chat/completions", rest


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


__all__ = ["ServerDialect", "path_and_body"]
