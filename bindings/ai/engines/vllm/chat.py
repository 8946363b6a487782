"""Chats that are more than text in and text out: tools, thoughts, images, options of the chat template.

They take the way of vLLM's own API server: a ``ChatCompletionRequest``, rendered by its ``OnlineRenderer``, and a
``Parser`` for each answer. A call that is forced is JSON that matches a schema, as elsewhere; only where the model's
grammars are xgrammar's does vLLM say what such a call must look like.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from bindings.ai.engine import features
from bindings.ai.engine.protocol import EngineError, Generate
from bindings.ai.engines import tool_prompt
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.grammar import TAG_BACKEND, StructuredOutputs
from bindings.ai.engines.vllm.interfaces import AsyncLLM, ChatRequest, Parser, Prompt
from bindings.ai.engines.vllm.load import template_of
from bindings.ai.engines.vllm.parsers import Parsers
from bindings.ai.engines.vllm.read import GenerateCall, OutputReader
from bindings.ai.error_table import ENGINE_REFUSED

_COPIED = ("temperature", "top_p", "top_k", "seed", "stop", "repetition_penalty", "frequency_penalty",
         "presence_penalty", "n", "ignore_eos", "reasoning_effort")  # fmt: skip
_COPIED_IF_SET = ("logit_bias", "chat_template_kwargs")


class Chats:
    """``template``: the chat template where it is not the model's own."""

    def __init__(self, llm: AsyncLLM, template: str | None, parsers: Parsers, grammars: StructuredOutputs) -> None:
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
            or tool_prompt.has_calls(messages)
            or any(True for _ in features.images(request))
        )

    async def ask(self, request: Generate) -> GenerateCall:
        """Raises EngineError 8007 for what vLLM refuses."""
        chat = self._request(**self._fields(request))
        prompt = await self._rendered(chat)
        template_options = chat.build_chat_params(self._template, "auto").chat_template_kwargs
        make = partial(self._parser, chat, template_options)
        readers = [OutputReader(make, chat, request) for _ in range(request.n)]
        options = _thinking(chat, readers[0].parser, template_options, prompt["prompt_token_ids"])
        return GenerateCall(prompt, chat.to_sampling_params(request.max_tokens, {}), readers, options)

    async def tagged(self) -> bool:
        """Whether this model's JSON is within tags of its own."""
        messages = [{"role": "user", "content": "Hi"}]
        chat = self._request(messages=messages, stream=True, structured_outputs={"json": {"type": "object"}})
        try:
            await self._rendered(chat, keep_tags=True)
        except Exception:
            return False  # it says so to whoever asks for JSON
        return getattr(chat.structured_outputs, "json", None) is None

    async def _rendered(self, request: ChatRequest, *, keep_tags: bool = False) -> Prompt:
        """The prompt. What the model's parsers ask of the answer is in ``request`` then, if its grammars can say it."""
        before = request.structured_outputs
        rendered = await self._renderer.render_chat(request)
        if not isinstance(rendered, tuple):
            raise EngineError(ENGINE_REFUSED, rendered.error.message)
        after = request.structured_outputs
        if after is not None and after.structural_tag and self._grammars.backend != TAG_BACKEND and not keep_tags:
            request.structured_outputs = before
        prompt: Prompt = rendered[1][0]
        return prompt

    def _fields(self, request: Generate) -> dict[str, Any]:
        """The request in OpenAI's words, as vLLM has them."""
        messages = request.messages or [{"role": "user", "content": request.prompt}]
        tools = request.tools if request.tool_choice != "none" else []
        if not self._knows_tools:
            messages = tool_prompt.explain_tools(messages, tools)
        fields = {"messages": messages, "stream": True, **{name: getattr(request, name) for name in _COPIED}}
        fields |= {name: value for name in _COPIED_IF_SET if (value := getattr(request, name))}
        if request.logprobs is not None:
            fields |= {"logprobs": True, "top_logprobs": request.logprobs}
        if request.json_schema is not None:
            fields["structured_outputs"] = {"json": self._grammars.as_told(request.json_schema)}
        return fields | (self._tools(request, tools) if tools else {})

    def _tools(self, request: Generate, tools: list[dict[str, Any]]) -> dict[str, Any]:
        strict = self._grammars.backend == TAG_BACKEND and features.forced(request)
        fields = {
            "tools": [_with_strict(tool, strict=strict) for tool in tools],
            "tool_choice": request.tool_choice or "auto",
            "parallel_tool_calls": request.parallel_tool_calls,
        }
        if features.forced(request) and not strict:
            schema = self._grammars.as_told(tool_prompt.call_schema(request))
            fields |= {"tool_choice": "none", "structured_outputs": {"json": schema}}
        return fields

    def _parser(self, request: ChatRequest, template_options: dict[str, Any]) -> Parser | None:
        if (parser_class := self._renderer.parser) is None:
            return None
        parser: Parser = parser_class(
            self._renderer.renderer.tokenizer,
            request.tools,
            chat_template_kwargs=template_options,
            model_config=self._config,
        )
        return parser


def _with_strict(tool: dict[str, Any], *, strict: bool) -> dict[str, Any]:
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


def _thinking(
    request: ChatRequest, parser: Parser | None, template_options: dict[str, Any], prompt: list[int]
) -> dict[str, Any]:
    """What the model's side must know so that a grammar begins after the thoughts."""
    if parser is None or parser.reasoning_parser is None:
        return {}
    ended = compat.reasoning_ended(request, parser, prompt)
    return {"reasoning_ended": ended, "reasoning_parser_kwargs": {"chat_template_kwargs": template_options}}


__all__ = ["Chats"]
