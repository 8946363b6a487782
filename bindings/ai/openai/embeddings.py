"""OpenAI's embeddings, asked of a model that answers in the service's own way."""

from __future__ import annotations

import array
import base64
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from bindings.ai.errors import bad_input
from bindings.ai.inputs import checks
from bindings.ai.tasks import checks as task_checks
from bindings.ai.tasks import embeddings

if TYPE_CHECKING:
    from bindings.ai.answers.answer import RunAnswer
    from bindings.ai.service import AIService

EMBEDDINGS = "Text Embeddings"
MAX_TEXTS = 2048  # in one request: OpenAI's limit
TOKEN_IDS = ("token ids, which mean other words to this model than to the tokenizer that made them. Send texts: "
          "langchain does with OpenAIEmbeddings(check_embedding_ctx_length=False)")  # fmt: skip


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """``dimensions``: None for as many as the model gives. ``as_base64``: base64 rather than numbers."""

    texts: list[str]
    dimensions: int | None
    as_base64: bool

    def batches(self, size: int) -> list[list[str]]:
        """The texts, in lists for a model that reads ``size`` of them at once."""
        return [self.texts[at : at + size] for at in range(0, len(self.texts), size)]

    def answer(self, model: str, vectors: list[list[float]], tokens: int) -> dict[str, Any]:
        """The body. Raises ModelError 5006 when there are not so many dimensions."""
        vectors = [_cut(vector, self.dimensions) for vector in vectors]
        data = [
            {"object": "embedding", "index": at, "embedding": _base64(vector) if self.as_base64 else vector}
            for at, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": model, "usage": usage}


async def embed(
    service: AIService, model: str, inputs: dict[str, Any], options: dict[str, Any], request_id: str
) -> RunAnswer:
    """OpenAI's body. Raises ModelError 5006, for a model of another task too."""
    entry = service.catalog.model(model)
    if entry.task != EMBEDDINGS:
        raise bad_input(f"{entry.id} is a model for {entry.task}, not for {EMBEDDINGS}")
    request = parse(inputs)
    answers = [
        await service.run(model, {"text": texts}, options, request_id=request_id)
        for texts in request.batches(entry.max_batch or embeddings.MAX_TEXTS)
    ]
    vectors = [vector for answer in answers for vector in answer.json["data"]]
    tokens = sum(answer.stats.prompt_tokens for answer in answers)
    return replace(answers[-1], json=request.answer(model, vectors, tokens))


def parse(inputs: dict[str, Any]) -> EmbeddingRequest:
    """OpenAI's fields. The texts are checked further by the model's task. Raises ModelError 5006."""
    encoding, dimensions = inputs.get("encoding_format") or "float", inputs.get("dimensions")
    if encoding not in ("float", "base64"):
        raise bad_input("'/encoding_format' must be one of 'float, base64'")
    if dimensions is not None:
        for complaint in checks.number(dimensions, "/dimensions", "integer", 1, 2**31 - 1):
            raise bad_input(complaint)
    return EmbeddingRequest(_texts(inputs), None if dimensions is None else int(dimensions), encoding == "base64")


def _texts(inputs: dict[str, Any]) -> list[str]:
    """OpenAI takes token ids too. Who sends them has them of OpenAI's tokenizer, and any other model would read other
    words, without a sign of it: they are refused."""
    texts = inputs.get("input")
    if texts is None:
        raise bad_input(checks.absent(inputs, "/", "input"))
    if isinstance(texts, list) and texts and isinstance(texts[0], int | list):
        raise bad_input(f"'/input' is {TOKEN_IDS}")
    task_checks.refuse(task_checks.texts(texts, "/input", MAX_TEXTS))
    return texts if isinstance(texts, list) else [texts]


def _base64(vector: Sequence[float]) -> str:
    """Little-endian float32, as OpenAI's clients read it."""
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _cut(vector: list[float], dimensions: int | None) -> list[float]:
    """The first ``dimensions`` of it, brought back to length 1. Raises ModelError 5006 when it has fewer."""
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise bad_input(f"'/dimensions' must be between 1 and {len(vector)}")
    shorter = vector[:dimensions]
    length = math.hypot(*shorter) or 1.0
    return [number / length for number in shorter]


__all__ = ["EmbeddingRequest", "embed", "parse"]
