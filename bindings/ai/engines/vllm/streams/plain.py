"""Requests whose answer is their text: how vLLM is asked for it.

Prompts are rendered by vLLM's own renderer, which knows the model's chat template; a base model has none, and gets
the messages' texts.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bindings.ai.engine.protocol import Generate
from bindings.ai.engine.tasks import no_such_token
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.grammar import StructuredOutputs
from bindings.ai.engines.vllm.interfaces import AsyncLLM, Prompt, SamplingParams
from bindings.ai.engines.vllm.read import GenerateCall, OutputReader
from bindings.ai.engines.vllm.streams.shortcut import Shortcut
from bindings.ai.engines.vllm.streams.tokens import SHORT_CHARS, Encode
from runtime.errors import ConfigError

_HI = [{"role": "user", "content": "Hi"}]
_COPIED = ("top_k", "seed", "repetition_penalty", "frequency_penalty", "presence_penalty", "logprobs")


class PlainText:
    def __init__(self, llm: AsyncLLM, chat: object | None, grammars: StructuredOutputs) -> None:
        self._renderer, self.chat = llm.renderer, chat  # chat: vLLM's ChatParams; None when there is no template
        self._params, self._delta, self._grammars = *map(compat.get, ("SamplingParams", "DELTA")), grammars
        self._length = dataclasses.replace(
            llm.renderer.default_cmpl_tok_params, max_total_tokens=8 * llm.model_config.max_model_len
        )
        self._chat_length = dataclasses.replace(self._length, add_special_tokens=False)
        self._shortcut: Shortcut | None = None

    @classmethod
    async def of(
        cls, llm: AsyncLLM, template: str | None, grammars: StructuredOutputs, encode: Encode | None = None
    ) -> PlainText:
        """Raises ConfigError for a ``template`` that fails."""
        self = cls(llm, await _chat_params(llm, template), grammars)
        self._shortcut = Shortcut.of(encode, llm.renderer, self._length, template)
        return self

    async def ask(self, request: Generate) -> GenerateCall:
        readers = [OutputReader(lambda: None, None, request) for _ in range(request.n)]
        return GenerateCall(await self.render(request), self.params(request), readers, {})

    def tokens(self, request: Generate) -> list[int] | None:
        """Those of ``render``, at once; None: it takes longer."""
        if self._shortcut is None or request.prompt_tokens:
            return None
        if request.messages is None and (request.raw or self.chat is None):
            return self._shortcut.text(request.prompt or "")
        messages = request.messages or [{"role": "user", "content": request.prompt}]
        return self._shortcut.chat(messages) if self.chat is not None else None

    async def render(self, request: Generate) -> Prompt:
        """vLLM's EngineInput for the request; the messages go through the chat template."""
        messages = request.messages
        if request.prompt_tokens:
            return await self._render(prompt_token_ids=request.prompt_tokens)
        if messages is None and (request.raw or self.chat is None):
            return await self._render_text(request.prompt or "")
        messages = messages or [{"role": "user", "content": request.prompt}]
        if self.chat is None:
            return await self._render_text("\n\n".join(_text(message) for message in messages))
        if sum(len(_text(message)) for message in messages) <= SHORT_CHARS:
            _, (prompt,) = self._renderer.render_chat([messages], self.chat, self._chat_length)
            if self._shortcut is not None:
                self._shortcut.compare(messages, prompt)
        else:
            _, (prompt,) = await self._renderer.render_chat_async([messages], self.chat, self._chat_length)
        return prompt

    async def render_bare(self, text: str) -> Prompt:
        """Without the tokens that go around a text."""
        (prompt,) = await self._renderer.render_cmpl_async([{"prompt": text}], self._chat_length)
        return prompt

    def written(self, tokens: list[int]) -> str:
        """Their text, special tokens too. Raises EngineError 5006 for one there is not."""
        words = self._renderer.tokenizer
        for token in tokens:
            if not 0 <= token < len(words):
                raise no_such_token(token)
        text: str = words.decode(tokens, skip_special_tokens=False)
        return text

    def pieces(self, tokens: list[int]) -> list[str]:
        """Each as the tokenizer has it."""
        return [str(piece) for piece in self._renderer.tokenizer.convert_ids_to_tokens(tokens)]

    async def _render_text(self, text: str) -> Prompt:
        if len(text) > SHORT_CHARS:
            return await self._render(prompt=text)
        (prompt,) = self._renderer.render_cmpl([{"prompt": text}], self._length)
        return prompt

    async def _render(self, **prompt: object) -> Prompt:
        (rendered,) = await self._renderer.render_cmpl_async([prompt], self._length)
        return rendered

    def params(self, request: Generate) -> SamplingParams:
        """What is not asked for keeps vLLM's neutral value. ``max_tokens`` is always said: vLLM's is 16."""
        options = {
            "top_p": None if request.top_p is None else min(max(request.top_p, 0.001), 1.0),
            "stop": request.stop or None,
            **{name: getattr(request, name) for name in _COPIED},
        }
        if request.logit_bias:
            options["logit_bias"] = {int(number): bias for number, bias in request.logit_bias.items()}
        if request.json_schema is not None:
            options["structured_outputs"] = self._grammars.params(request.json_schema)
        params: SamplingParams = self._params(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            n=request.n,
            ignore_eos=request.ignore_eos,
            output_kind=self._delta,
            **{name: value for name, value in options.items() if value is not None},
        )
        return params


async def _chat_params(llm: AsyncLLM, template: str | None) -> object | None:
    """How to render a chat, or None for a base model, which has no template: it is tried to find out."""
    params: object = compat.get("ChatParams")(
        chat_template=template, chat_template_kwargs={"add_generation_prompt": True}
    )
    try:
        await llm.renderer.render_chat_async([_HI], params)
    except Exception as error:
        if template is not None:
            remedy = "Mend it, or leave it out, for the model's own."
            what = f"the chat template fails: {error}"
            raise ConfigError(what, where="vllm: chat_template", remedy=remedy) from None
        return None
    return params


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


__all__ = ["PlainText"]
