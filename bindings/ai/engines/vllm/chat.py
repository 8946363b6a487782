"""Chats that are more than text in and text out: tools, thoughts, images, options of the chat template.

They take the way of vLLM's own API server: a ``ChatCompletionRequest``, rendered by its ``OnlineRenderer``, and a
``Parser`` for each answer. A call that is forced is JSON that matches a schema, as elsewhere; only where the model's
grammars are xgrammar's does vLLM say what such a call must look like.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bindings.ai.engine import features
from bindings.ai.engine.protocol import EngineError, Generate
from bindings.ai.engines import tool_prompt
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.grammar import SPARE, Grammars
from bindings.ai.engines.vllm.interfaces import AsyncLLM, Prompt
from bindings.ai.engines.vllm.load import template_of
from bindings.ai.engines.vllm.parsers import Parsers
from bindings.ai.engines.vllm.read import Asked, Reader
from bindings.ai.error_table import ENGINE_REFUSED

_SAME = ("temperature", "top_p", "top_k", "seed", "stop", "repetition_penalty", "frequency_penalty",
         "presence_penalty", "n", "ignore_eos", "reasoning_effort")  # fmt: skip
_SOMETIMES = ("logit_bias", "chat_template_kwargs")


class Chats:
    """``template``: the chat template where it is not the model's own."""

    def __init__(self, llm: AsyncLLM, template: str | None, parsers: Parsers, grammars: Grammars) -> None:
        self._config, self._template, self._parsers = llm.model_config, template, parsers
        self._grammars = grammars
        self._renderer = compat.get("OnlineRenderer")(
            llm.model_config,
            llm.renderer,
            request_logger=None,
            chat_template=template,
            chat_template_content_format="auto",
            enable_auto_tools=bool(parsers.tools),
            exclude_tools_when_tool_choice_none=False,
            tool_parser=parsers.tools or None,
            reasoning_parser=parsers.reasoning or None,
        )
        self._request = _request_class(llm.model_config.max_model_len)
        self._knows_tools = self._renderer.use_harmony or "tool" in (template or template_of(llm.renderer.tokenizer))

    def concerns(self, request: Generate) -> bool:
        """Whether this request is one of them; otherwise the chat template and the text will do."""
        messages = request.messages or []
        if request.messages is None and request.raw:
            return False
        return bool(
            self._parsers.reasoning
            or request.tools
            or request.reasoning_effort
            or request.chat_template_kwargs
            or tool_prompt.concerns(messages)
            or any(True for _ in features.images(request))
        )

    async def ask(self, request: Generate) -> Asked:
        """Raises EngineError 8007 for what vLLM refuses."""
        wanted = self._request(**self._fields(request))
        prompt = await self._rendered(wanted)
        told = wanted.build_chat_params(self._template, "auto").chat_template_kwargs
        readers = [Reader(self._parser(wanted, told), wanted, request) for _ in range(request.n)]
        more = _thinking(wanted, readers[0].parser, told, prompt["prompt_token_ids"])
        return Asked(prompt, wanted.to_sampling_params(request.max_tokens, {}), readers, more)

    async def tagged(self) -> bool:
        """Whether this model's JSON is within tags of its own."""
        said = [{"role": "user", "content": "Hi"}]
        wanted = self._request(messages=said, stream=True, structured_outputs={"json": {"type": "object"}})
        try:
            await self._rendered(wanted, as_told=True)
        except Exception:
            return False  # it says so to whoever asks for JSON
        return getattr(wanted.structured_outputs, "json", None) is None

    async def _rendered(self, wanted: Any, *, as_told: bool = False) -> Prompt:
        """The prompt. What the model's parsers ask of the answer is in ``wanted`` then, if its grammars can say it."""
        before = wanted.structured_outputs
        rendered = await self._renderer.render_chat(wanted)
        if not isinstance(rendered, tuple):
            raise EngineError(ENGINE_REFUSED, rendered.error.message)
        after = wanted.structured_outputs
        if after is not None and after.structural_tag and self._grammars.backend != SPARE and not as_told:
            wanted.structured_outputs = before
        prompt: Prompt = rendered[1][0]
        return prompt

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
            fields["structured_outputs"] = {"json": self._grammars.said(request.json_schema)}
        return fields | (self._tools(request, offered) if offered else {})

    def _tools(self, request: Generate, offered: list[dict[str, Any]]) -> dict[str, Any]:
        strict = self._grammars.backend == SPARE and features.forced(request)
        fields = {
            "tools": [_told(tool, strict=strict) for tool in offered],
            "tool_choice": request.tool_choice or "auto",
            "parallel_tool_calls": request.parallel_tool_calls,
        }
        if features.forced(request) and not strict:
            schema = self._grammars.said(tool_prompt.call_schema(request))
            fields |= {"tool_choice": "none", "structured_outputs": {"json": schema}}
        return fields

    def _parser(self, wanted: Any, told: dict[str, Any]) -> Any:
        parser = self._renderer.parser
        return parser and parser(
            self._renderer.renderer.tokenizer, wanted.tools, chat_template_kwargs=told, model_config=self._config
        )


def _told(tool: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """``strict``: a call keeps to the schema of its arguments; newer vLLMs see to that only where they are told to."""
    function = {name: value for name, value in tool["function"].items() if name != "strict"}
    return {**tool, "function": {**function, "strict": True} if strict else function}


def _request_class(window: int) -> Any:
    """vLLM's request; whether it fits is for us to say, as ``ContextExceeded``."""
    base: Any = compat.get("ChatCompletionRequest")

    class Request(base):  # type: ignore[misc]
        def build_tok_params(self, model_config: Any) -> Any:
            return dataclasses.replace(super().build_tok_params(model_config), max_total_tokens=8 * window)

    return Request


def _thinking(wanted: Any, parser: Any, told: dict[str, Any], prompt: list[int]) -> dict[str, Any]:
    """What the model's side must know so that a grammar begins after the thoughts."""
    if parser is None or parser.reasoning_parser is None:
        return {}
    ended = compat.reasoning_ended(wanted, parser, prompt)
    return {"reasoning_ended": ended, "reasoning_parser_kwargs": {"chat_template_kwargs": told}}


__all__ = ["Chats"]
