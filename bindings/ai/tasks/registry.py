"""Who answers for which kind of model, other than plain text generation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

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


class Stats(Protocol):
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True)
class Job:
    """One request for a handler: the model, and how to reach the engine that answers for it."""

    model: Model
    stand_in: bool
    client: Callable[[], Client]
    request_id: str
    stats: Stats
    adapted: Callable[[TextRequest, Model], Awaitable[TextRequest]]
    """``lora`` made a folder."""
    form: str = ""
    """Of ``bindings.ai.inputs.text``, where a route asks for one."""

    async def ask(self, task: Task) -> Any:
        """The engine's answer (``ANSWERS``), whose tokens are counted. Raises EngineError."""
        found = await self.client().perform(task, self.request_id)
        self.stats.prompt_tokens += getattr(found, "tokens", 0)
        return found

    async def generate(self, wanted: TextRequest) -> str:
        """The whole text that a generating engine answers with."""
        request, texts = (await self.adapted(wanted, self.model)).generate, []
        async with aclosing(self.client().generate(request, self.request_id)) as deltas:
            async for delta in deltas:
                self.stats.prompt_tokens = delta.prompt_tokens
                self.stats.tokens += delta.tokens
                texts.append(delta.text)
        return "".join(texts)


Handler = Callable[[Any, Job], Awaitable[Any]]


def handler(model: Model) -> Handler | None:
    """``handler(inputs, job)`` answers with the native result; None for plain text generation."""
    name = HANDLERS.get(kind(model))
    if name is None:
        return None
    module, _, function = name.partition(":")
    found: Handler = getattr(import_module(module), function)
    return found


__all__ = ["HANDLERS", "Handler", "Job", "Stats", "handler"]
