"""Chats that are more than text in and text out: tools, thoughts, images, options of the chat template.

They take the way of vLLM's own API server: a ``ChatCompletionRequest``, rendered by its ``OnlineRenderer`` (which also
says what a forced call must look like), and a ``Parser`` for each answer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bindings.ai import features
from bindings.ai.engine import EngineError, Generate
from bindings.ai.engines import tool_prompt, vllm_compat
from bindings.ai.engines.vllm_load import template_of
from bindings.ai.engines.vllm_parsers import Parsers
from bindings.ai.engines.vllm_read import Asked, Reader

_SAME = ("temperature", "top_p", "top_k", "seed", "stop", "repetition_penalty", "frequency_penalty",
         "presence_penalty", "n", "ignore_eos", "reasoning_effort")  # fmt: skip
_SOMETIMES = ("logit_bias", "chat_template_kwargs")


class Chats:
    """``template``: the chat template where it is not the model's own."""

    def __init__(self, llm: Any, template: str | None, parsers: Parsers) -> None:
        self._config, self._template, self._parsers = llm.model_config, template, parsers
        self._renderer = vllm_compat.get("OnlineRenderer")(
            llm.model_config, llm.renderer, request_logger=None,
            chat_template=template, chat_template_content_format="auto", enable_auto_tools=bool(parsers.tools),
            exclude_tools_when_tool_choice_none=True,
            tool_parser=parsers.tools or None, reasoning_parser=parsers.reasoning or None)
        self._request = _request_class(llm.model_config.max_model_len)
        self._knows_tools = self._renderer.use_harmony or "tool" in (template or template_of(llm.renderer.tokenizer))

    def concerns(self, request: Generate) -> bool:
        """Whether this request is one of them; otherwise the chat template and the text will do."""
        messages = request.messages or []
        if request.messages is None and request.raw:
            return False
        return bool(self._parsers.reasoning or request.tools or request.reasoning_effort
                    or request.chat_template_kwargs or tool_prompt.concerns(messages)
                    or any(True for _ in features.images(request)))

    async def ask(self, request: Generate) -> Asked:
        """Raises EngineError 8007 for what vLLM refuses."""
        wanted = self._request(**self._fields(request))
        rendered = await self._renderer.render_chat(wanted)
        if not isinstance(rendered, tuple):
            raise EngineError(8007, 400, rendered.error.message)
        prompt = rendered[1][0]
        told = wanted.build_chat_params(self._template, "auto").chat_template_kwargs
        readers = [Reader(self._parser(wanted, told), wanted, request.logprobs) for _ in range(request.n)]
        more = _thinking(wanted, readers[0].parser, told, prompt["prompt_token_ids"])
        return Asked(prompt, wanted.to_sampling_params(request.max_tokens, {}), readers, more)

    def _fields(self, request: Generate) -> dict[str, Any]:
        """The request in OpenAI's words, as vLLM has them."""
        messages = request.messages or [{"role": "user", "content": request.prompt}]
        offered = request.tools if request.tool_choice != "none" else []
        if not self._knows_tools:
            messages = tool_prompt.taught(messages, offered)
        fields = {"messages": messages, "stream": True, **{name: getattr(request, name) for name in _SAME}}
        fields |= {name: value for name in _SOMETIMES if (value := getattr(request, name))}
        if request.logprobs is not None:
            fields |= {"logprobs": True, "top_logprobs": request.logprobs}
        if request.json_schema is not None:
            fields["structured_outputs"] = {"json": request.json_schema or {"type": "object"}}
        if offered:
            tools = [*map(_strict, offered)] if tool_prompt.forced(request) else offered
            fields |= {"tools": tools, "tool_choice": request.tool_choice or "auto",
                       "parallel_tool_calls": request.parallel_tool_calls}
        return fields

    def _parser(self, wanted: Any, told: dict[str, Any]) -> Any:
        parser = self._renderer.parser
        return parser and parser(self._renderer.renderer.tokenizer, wanted.tools,
                                 chat_template_kwargs=told, model_config=self._config)


def _strict(tool: dict[str, Any]) -> dict[str, Any]:
    """A forced call keeps to the schema of its arguments; newer vLLMs see to that only where they are told to."""
    return {**tool, "function": {**tool["function"], "strict": True}}


def _request_class(window: int) -> Any:
    """vLLM's request; whether it fits is for us to say, in the contract's words."""
    base: Any = vllm_compat.get("ChatCompletionRequest")

    class Request(base):  # type: ignore[misc]
        def build_tok_params(self, model_config: Any) -> Any:
            return dataclasses.replace(super().build_tok_params(model_config), max_total_tokens=8 * window)

    return Request


def _thinking(wanted: Any, parser: Any, told: dict[str, Any], prompt: list[int]) -> dict[str, Any]:
    """What the model's side must know so that a grammar begins after the thoughts."""
    if parser is None or parser.reasoning_parser is None:
        return {}
    ended = vllm_compat.reasoning_ended(wanted, parser, prompt)
    return {"reasoning_ended": ended, "reasoning_parser_kwargs": {"chat_template_kwargs": told}}


__all__ = ["Chats"]
