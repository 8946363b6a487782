"""Tasks other than plain text generation: what an engine is asked, what it answers, and who serves which task.

A model's *kind* is its task, except where a field of its row says more (a reranker is filed under "Text
Classification", a guard under "Text Generation"). ``HANDLERS`` names the function that answers for a kind,
``RUNNERS`` the mode in which an engine must run the model, and ``ENGINES_BY_RUNNER`` the class that does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import msgspec

from bindings.ai.engine import Delta, EngineError, Generate
from bindings.ai.models import TEXT_GENERATION, Model
from bindings.ai.shapes import TextInput

GENERATE = "generate"  # the runner of every engine in ``bindings.ai.engine.ENGINES``


class Embed(msgspec.Struct, kw_only=True, tag=True):
    """``pooling``: ``mean``, ``cls``, or None for the model's own. ``limit``: tokens per text, beyond which a text
    is cut (``truncate``) or refused (400 / 3030)."""

    texts: list[str]
    pooling: str | None = None
    limit: int | None = None
    truncate: bool = True


class Embedded(msgspec.Struct, kw_only=True):
    """Unit vectors, one per text, all of one length; ``pooling`` is the one used."""

    vectors: list[list[float]]
    pooling: str
    tokens: int


class Score(msgspec.Struct, kw_only=True, tag=True):
    """How well does each text answer the query? Longer pairs than the model can read are cut at the text's end."""

    query: str
    texts: list[str]


class Scored(msgspec.Struct, kw_only=True):
    """0..1 per text, in the order of the texts."""

    scores: list[float]
    tokens: int


class Classify(msgspec.Struct, kw_only=True, tag=True):
    text: str


class Classified(msgspec.Struct, kw_only=True):
    """Each label of the model with its probability, in the model's own order."""

    labels: list[tuple[str, float]]
    tokens: int


class Transcribe(msgspec.Struct, kw_only=True, tag=True):
    """``audio``: a whole file (WAV, and what else the engine's libraries can read). ``language``: ISO 639-1, None
    to let the model find out. ``translate``: into English. ``prompt``: text that comes before."""

    audio: bytes
    language: str | None = None
    translate: bool = False
    prompt: str = ""


class Segment(msgspec.Struct):
    """Seconds from the start of the recording."""

    start: float
    end: float
    text: str


class Transcribed(msgspec.Struct, kw_only=True):
    segments: list[Segment]
    language: str
    duration: float


class Tokenize(msgspec.Struct, kw_only=True, tag=True):
    """What does a generating model read, asked this? ``special``: a raw text with the tokens that go around it."""

    request: Generate
    special: bool = True


class Tokenized(msgspec.Struct, kw_only=True):
    """The ids, and what each stands for where that was asked; ``window``: the model's, where it is known."""

    tokens: list[int]
    pieces: list[str]
    window: int | None


class Detokenize(msgspec.Struct, kw_only=True, tag=True):
    tokens: list[int]


class Detokenized(msgspec.Struct, kw_only=True):
    text: str


Task = Embed | Score | Classify | Transcribe | Tokenize | Detokenize
ANSWERS: dict[type, type] = {
    Embed: Embedded, Score: Scored, Classify: Classified, Transcribe: Transcribed, Tokenize: Tokenized,
    Detokenize: Detokenized,
}

class TextTooLong(EngineError):
    """400 / 3030: a text that its model cannot read whole, and that may not be cut (contract §1.7)."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(3030, 400, f"Max context reached {tokens} tokens but model supports only {limit}")



def no_such_token(number: int) -> EngineError:
    return EngineError(5006, 400, f"Error: '/tokens': the model has no token {number}", "Bad input")


RUNNERS = {
    TEXT_GENERATION: GENERATE,
    "Guard": GENERATE,
    "Image-to-Text": GENERATE,
    "Text Embeddings": "pooling",
    "Reranking": "pooling",
    "Text Classification": "pooling",
    "Automatic Speech Recognition": "speech",
}
HANDLERS = {
    "Text Embeddings": "bindings.ai.embeddings:answer",
    "Reranking": "bindings.ai.ranking:rerank",
    "Text Classification": "bindings.ai.ranking:classify",
    "Guard": "bindings.ai.guard:answer",
    "Image-to-Text": "bindings.ai.pictures:answer",
    "Automatic Speech Recognition": "bindings.ai.speech:answer",
}
ENGINES_BY_RUNNER = {
    ("vllm", "pooling"): "bindings.ai.engines.vllm_pooling:VLLMPooling",
    ("vllm", "speech"): "bindings.ai.engines.vllm_speech:VLLMSpeech",
    ("openai", "pooling"): "bindings.ai.engines.openai_tasks:OpenAITasks",
    ("openai", "speech"): "bindings.ai.engines.openai_tasks:OpenAITasks",
    ("llamacpp", "pooling"): "bindings.ai.engines.llamacpp_embed:LlamaCppEmbedding",
}


class Client(Protocol):
    """What answers for one engine; ``bindings.ai.client`` has the real one."""

    def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]: ...

    async def perform(self, task: Task, request_id: str) -> Any: ...


class Stats(Protocol):
    prompt_tokens: int
    tokens: int


FILES = ("Automatic Speech Recognition", "Image-to-Text", "Image Classification", "Object Detection")


@dataclass(frozen=True)
class Job:
    """One request for a handler: the model, and how to reach the engine that answers for it."""

    model: Model
    stand_in: bool
    client: Callable[[], Client]
    request_id: str
    stats: Stats
    adapted: Callable[[TextInput, Model], Awaitable[TextInput]]
    """``lora`` made a folder."""
    form: str = ""
    """Of ``bindings.ai.shapes``, where a route asks for one."""

    async def ask(self, task: Task) -> Any:
        """The engine's answer (``ANSWERS``), whose tokens are counted. Raises EngineError."""
        found = await self.client().perform(task, self.request_id)
        self.stats.prompt_tokens += getattr(found, "tokens", 0)
        return found

    async def generate(self, wanted: TextInput) -> str:
        """The whole text that a generating engine answers with."""
        request, texts = (await self.adapted(wanted, self.model)).generate, []
        async with aclosing(self.client().generate(request, self.request_id)) as deltas:
            async for delta in deltas:
                self.stats.prompt_tokens = delta.prompt_tokens
                self.stats.tokens += delta.tokens
                texts.append(delta.text)
        return "".join(texts)


Handler = Callable[[Any, Job], Awaitable[Any]]


def kind(model: Model) -> str:
    if model.guardrail:
        return "Guard"
    return "Reranking" if model.reranker else model.task


def handler(model: Model) -> Handler | None:
    """``handler(inputs, job)`` answers with the native result; None for plain text generation."""
    name = HANDLERS.get(kind(model))
    if name is None:
        return None
    module, _, function = name.partition(":")
    found: Handler = getattr(import_module(module), function)
    return found


def takes_files(model: Model) -> bool:
    """Whether a body may be a recording or an image instead of JSON."""
    return kind(model) in FILES


def servable(engine: str, runner: str) -> bool:
    return runner == GENERATE or (engine, runner) in ENGINES_BY_RUNNER


__all__ = [
    "ANSWERS", "ENGINES_BY_RUNNER", "GENERATE", "HANDLERS", "RUNNERS", "Classified", "Classify", "Client", "Detokenize",
    "Detokenized", "Embed", "Embedded", "Handler", "Job", "Score", "Scored", "Segment", "Stats", "Task", "TextTooLong",
    "Tokenize", "Tokenized", "Transcribe", "Transcribed", "handler", "kind", "no_such_token", "servable", "takes_files",
]
