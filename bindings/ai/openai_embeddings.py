"""OpenAI's embeddings, asked of a model that answers in the service's own way."""

from __future__ import annotations

import array
import base64
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bindings.ai import checks
from bindings.ai.errors import bad_input

if TYPE_CHECKING:
    from bindings.ai.answer import RunAnswer
    from bindings.ai.service import AIService

EMBEDDINGS = "Text Embeddings"


@dataclass(frozen=True)
class Asked:
    """``dimensions``: None for as many as the model gives. ``packed``: base64 rather than numbers."""

    texts: Any
    dimensions: int | None
    packed: bool

    def answer(self, model: str, vectors: list[list[float]], tokens: int) -> dict[str, Any]:
        """The body. Raises AiError 5006 when there are not so many dimensions."""
        kept = [_cut(vector, self.dimensions) for vector in vectors]
        data = [{"object": "embedding", "index": at, "embedding": _base64(vector) if self.packed else vector}
                for at, vector in enumerate(kept)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": model, "usage": usage}


async def embedded(
    service: AIService, model: str, inputs: dict[str, Any], options: dict[str, Any], request_id: str
) -> RunAnswer:
    """OpenAI's body. Raises AiError 5006, for a model of another task too."""
    known = service.catalog.model(model)
    if known.task != EMBEDDINGS:
        raise bad_input(f"{known.id} is a model for {known.task}, not for {EMBEDDINGS}")
    wanted = asked(inputs)
    answer = await service.run(model, {"text": wanted.texts}, options, request_id=request_id)
    return replace(answer, json=wanted.answer(model, answer.json["data"], answer.stats.prompt_tokens))


def asked(inputs: dict[str, Any]) -> Asked:
    """What is asked for. The texts are checked further by the model's task. Raises AiError 5006."""
    encoding, dimensions = inputs.get("encoding_format") or "float", inputs.get("dimensions")
    if encoding not in ("float", "base64"):
        raise bad_input("'/encoding_format' must be one of 'float, base64'")
    if dimensions is not None:
        for complaint in checks.number(dimensions, "/dimensions", "integer", 1, 2**31 - 1):
            raise bad_input(complaint)
    return Asked(_texts(inputs), None if dimensions is None else int(dimensions), encoding == "base64")


def _texts(inputs: dict[str, Any]) -> Any:
    """OpenAI takes token ids too; a model of another maker has other tokens."""
    given = inputs.get("input")
    if isinstance(given, list) and given and not all(isinstance(text, str) for text in given):
        raise bad_input("'/input' must be a text or a list of texts: token ids are not served here")
    if given is None:
        raise bad_input(checks.absent(inputs, "/", "input"))
    return given


def _base64(vector: Sequence[float]) -> str:
    """Little-endian float32, as OpenAI's clients read it."""
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _cut(vector: list[float], dimensions: int | None) -> list[float]:
    """The first ``dimensions`` of it, brought back to length 1. Raises AiError 5006 when it has fewer."""
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise bad_input(f"'/dimensions' must be between 1 and {len(vector)}")
    kept = vector[:dimensions]
    length = math.hypot(*kept) or 1.0
    return [number / length for number in kept]


__all__ = ["Asked", "asked", "embedded"]
