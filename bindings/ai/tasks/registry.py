"""Which handler answers for which kind of model, other than plain text generation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pkgutil import resolve_name
from typing import Any, Protocol

import msgspec

from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import Model
from bindings.ai.engine.tasks import Client, Task
from bindings.ai.inputs.text import TextRequest

HANDLERS = {
    "Text Embeddings": "bindings.ai.tasks.embeddings:answer",
    "Reranking": "bindings.ai.tasks.ranking:rerank",
    "Text Classification": "bindings.ai.tasks.ranking:classify",
    "Guard": "bindings.ai.tasks.guard:answer",
    "Image-to-Text": "bindings.ai.tasks.pictures:answer",
    "Automatic Speech Recognition": "bindings.ai.tasks.speech:answer",
}


class TaskStats(Protocol):
    prompt_tokens: int
    tokens: int


class TaskRequest(msgspec.Struct, frozen=True):
    """One request for a handler: the model, and how to reach the engine that answers for it."""

    model: Model
    stand_in: bool
    client: Callable[[], Client]
    request_id: str
    stats: TaskStats
    with_adapter: Callable[[TextRequest, Model], Awaitable[TextRequest]]
    """The request with the folder of the adapter that its ``lora`` names."""
    form: str = ""
    """Of ``bindings.ai.inputs.text``, where a route asks for one."""

    async def perform(self, task: Task) -> Any:
        """The engine's answer (``ANSWERS``), whose tokens are counted. Raises EngineError."""
        result = await self.client().perform(task, self.request_id)
        self.stats.prompt_tokens += getattr(result, "tokens", 0)
        return result

    async def generate(self, text_request: TextRequest) -> str:
        """The whole text that a generating engine answers with."""
        request, texts = (await self.with_adapter(text_request, self.model)).generate, []
        async with aclosing(self.client().generate(request, self.request_id)) as deltas:
            async for delta in deltas:
                self.stats.prompt_tokens = delta.prompt_tokens
                self.stats.tokens += delta.tokens
                texts.append(delta.text)
        return "".join(texts)


TaskHandler = Callable[[object, TaskRequest], Awaitable[Any]]


def handler(model: Model) -> TaskHandler | None:
    """``handler(inputs, request)`` answers with the native result; None for plain text generation."""
    name = HANDLERS.get(kind(model))
    if name is None:
        return None
    handle: TaskHandler = resolve_name(name)
    return handle


__all__ = ["HANDLERS", "TaskHandler", "TaskRequest", "TaskStats", "handler"]
