"""Short prompts to tokens at once, past vLLM's renderer, wherever that was seen to say the same.

A text is tried when a model is opened. A chat is tried by its shape, who speaks after whom: the first of any shape is
rendered both ways, and those after it this way if both were the same. Only messages that are a role and a text have
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import Prompt, Renderer, Tokenizer
from bindings.ai.engines.vllm.streams.tokens import SAMPLES, SHORT_CHARS, Encode

MAX_SHAPES = 256
_TOKENS_ALONE = {"type", "prompt_token_ids", "prompt", "arrival_time"}  # what vLLM makes of nothing but text
_COMPILE = "transformers.utils.chat_template_utils:_compile_jinja_template"

Messages = list[dict[str, Any]]
Shape = tuple[str, ...]


class Shortcut:
    """``encode``: the tokenizer's; ``render``: messages to text, if there is a template for it."""

    def __init__(self, encode: Encode, render: Callable[[Messages], str] | None, *, special: bool) -> None:
        self._encode, self._render, self._special = encode, render, special
        self._shapes: dict[Shape, bool] = {}  # whether it is the same

    @classmethod
    def of(cls, encode: Encode | None, renderer: Renderer, lengths: Any, template: str | None) -> Shortcut | None:
        """None where vLLM makes something else of a text than its tokens. ``lengths``: its TokenizeParams."""
        special = lengths.add_special_tokens
        if encode is None:
            return None
        for text in SAMPLES:
            (prompt,) = renderer.render_cmpl([{"prompt": text}], lengths)
            if not _TOKENS_ALONE.issuperset(prompt) or prompt["prompt_token_ids"] != encode(text, special):
                return None
        return cls(encode, _template(renderer.tokenizer, template), special=special)

    def text(self, text: str) -> list[int] | None:
        return self._encode(text, self._special) if len(text) <= SHORT_CHARS else None

    def chat(self, messages: Messages) -> list[int] | None:
        shape = _shape(messages)
        if shape is None or not self._shapes.get(shape):
            return None
        text = self._text_of(messages)
        return None if text is None else self._encode(text, False)

    def compare(self, messages: Messages, prompt: Prompt) -> None:
        """``prompt``: what vLLM has made of them."""
        if (shape := _shape(messages)) is None or shape in self._shapes:
            return
        if len(self._shapes) >= MAX_SHAPES:
            del self._shapes[next(iter(self._shapes))]
        text = self._text_of(messages)
        same = text is not None and self._encode(text, False) == prompt["prompt_token_ids"]
        self._shapes[shape] = same and _TOKENS_ALONE.issuperset(prompt)

    def _text_of(self, messages: Messages) -> str | None:
        """None: the template refuses them, and vLLM says why."""
        try:
            return self._render(messages) if self._render is not None else None
        except Exception:  # the template's own, which may be anything
            return None


def _shape(messages: Messages) -> Shape | None:
    """None: they are long, or more than roles and texts."""
    roles, size = [], 0
    for message in messages:
        content = message.get("content")
        if type(content) is not str or len(message) != 2:
            return None
        roles.append(message["role"])
        size += len(content)
    return tuple(roles) if size <= SHORT_CHARS else None


def _template(tokenizer: Tokenizer, template: str | None) -> Callable[[Messages], str] | None:
    """The chat template, compiled once."""
    try:
        source = template or tokenizer.get_chat_template()
        render = compat.find(_COMPILE)(source).render
        more = dict(tokenizer.special_tokens_map)
    except Exception:  # a tokenizer of another kind, or without a template
        return None
    return lambda messages: render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **more)


__all__ = ["MAX_SHAPES", "Shortcut"]
