"""Encoders of the forms an answer may have, one file each: Workers AI's own, OpenAI's three and Anthropic's.

An encoder encodes one answer, and remembers what it has sent of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bindings.ai.answers.messages import MessagesEncoder
from bindings.ai.answers.openai import ChatEncoder, CompletionEncoder
from bindings.ai.answers.responses import ResponsesEncoder
from bindings.ai.answers.workers_ai import WorkersAIEncoder
from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Delta
from bindings.ai.engines.accumulator import Choice, Usage
from bindings.ai.inputs.text import CHAT, CLASSIC, COMPLETION, MESSAGES, TextRequest


class Encoder(Protocol):
    """A stream's events: ``encode_text`` of a delta that is text alone, ``encode_delta`` of any; or one ``result``."""

    @property
    def encode_text(self) -> Callable[[str], bytes]: ...

    def begin(self) -> bytes:
        """The events before the first token's."""

    def encode_delta(self, delta: Delta) -> bytes: ...

    def end(self, usage: Usage) -> bytes:
        """The last events of a stream that went well."""

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        """The last event of a stream that broke; ``envelope`` is the error as REST shows it under ``status``."""

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        """The whole answer, where it is no stream. Raises ModelError 5024 when it was to be JSON and is not."""


def encoder_of(request: TextRequest, model: Model, *, padding: bool) -> Encoder:
    """The one for ``request``'s form. OpenAI's routes have no padding (docs/reference/workers-ai.md#padding)."""
    padding = padding and request.padded
    if request.form == CLASSIC:
        return WorkersAIEncoder(request.generate.json_schema, padding=padding)
    if request.form == CHAT:
        return ChatEncoder(request, model, padding=padding)
    if request.form == COMPLETION:
        return CompletionEncoder(request, model, padding=padding)
    if request.form == MESSAGES:
        return MessagesEncoder(request, model)
    return ResponsesEncoder(request, model)


__all__ = ["Encoder", "encoder_of"]
