"""Tasks other than plain text generation: what an engine is asked, what it answers, and which engine can."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engine.protocol import EngineError, Generate, bad_input
from bindings.ai.error_table import TEXT_TOO_LONG

GENERATE = "generate"  # the runner of every engine in ``bindings.ai.engine.protocol.ENGINES``


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


Answer = Embedded | Scored | Classified | Transcribed | Tokenized | Detokenized
Task = Embed | Score | Classify | Transcribe | Tokenize | Detokenize
ANSWER_TYPES: dict[type, type] = {
    Embed: Embedded,
    Score: Scored,
    Classify: Classified,
    Transcribe: Transcribed,
    Tokenize: Tokenized,
    Detokenize: Detokenized,
}


class TextTooLong(EngineError):
    """400 / 3030: a text that its model cannot read whole, and that may not be cut."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(TEXT_TOO_LONG, TEXT_TOO_LONG.describe(tokens=tokens, limit=limit))


def no_such_token(number: int) -> EngineError:
    return bad_input(f"'/tokens': the model has no token {number}")


ENGINES_BY_RUNNER = {
    ("vllm", "pooling"): "bindings.ai.engines.vllm.pooling:VLLMPooling",
    ("vllm", "speech"): "bindings.ai.engines.vllm.speech:VLLMSpeech",
    ("openai", "pooling"): "bindings.ai.engines.openai.tasks:OpenAITasks",
    ("openai", "speech"): "bindings.ai.engines.openai.tasks:OpenAITasks",
    ("llamacpp", "pooling"): "bindings.ai.engines.llamacpp.embed:LlamaCppEmbedding",
}


class Client(Protocol):
    """What answers for one engine; ``bindings.ai.engine.client`` has the real one."""

    def generate(self, request: Generate, request_id: str) -> DeltaIterator: ...

    async def perform(self, task: Task, request_id: str) -> Any: ...


def servable(engine: str, runner: str) -> bool:
    return runner == GENERATE or (engine, runner) in ENGINES_BY_RUNNER


__all__ = [
    "ANSWER_TYPES",
    "ENGINES_BY_RUNNER",
    "GENERATE",
    "Answer",
    "Classified",
    "Classify",
    "Client",
    "Embed",
    "Embedded",
    "Score",
    "Scored",
    "Segment",
    "Task",
    "TextTooLong",
    "Transcribe",
    "Transcribed",
    "servable",
]  # fmt: skip
