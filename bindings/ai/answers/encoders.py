"""The forms an answer may have, one file each: Workers AI's own, OpenAI's three and Anthropic's.

A form encodes one answer; what a stream has said so far is its own to remember.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bindings.ai.answers.messages import Messages
from bindings.ai.answers.openai import Chat, Completion
from bindings.ai.answers.responses import Responses
from bindings.ai.answers.workers_ai import WorkersAI
from bindings.ai.catalog.models import Model
from bindings.ai.engine.accumulator import Choice, Usage
from bindings.ai.engine.protocol import Delta
from bindings.ai.inputs.text import CHAT, CLASSIC, COMPLETION, MESSAGES, TextInput


class Encoder(Protocol):
    """``text`` and ``rest`` make events of a delta: of one that is text alone, and of any other."""

    @property
    def text(self) -> Callable[[str], bytes]: ...

    def begin(self) -> bytes:
        """What a stream says before the first token."""

    def rest(self, delta: Delta) -> bytes: ...

    def end(self, usage: Usage) -> bytes:
        """The end of a good stream."""

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        """The end of a stream that broke; ``envelope`` is the error as REST shows it under ``status``."""

    def whole(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        """The answer that is no stream. Raises AiError 5024 when it was to be JSON and is not."""


def encoder_of(wanted: TextInput, model: Model, *, padding: bool) -> Encoder:
    """The form ``wanted`` asks for. OpenAI's routes have no padding (contract §7)."""
    padding = padding and wanted.padded
    if wanted.form == CLASSIC:
        return WorkersAI(wanted.generate.json_schema, padding=padding)
    if wanted.form == CHAT:
        return Chat(wanted, model, padding=padding)
    if wanted.form == COMPLETION:
        return Completion(wanted, model, padding=padding)
    if wanted.form == MESSAGES:
        return Messages(wanted, model)
    return Responses(wanted, model)


__all__ = ["Encoder", "encoder_of"]
