"""Other tasks by a server that speaks OpenAI's API: ``/embeddings``, ``/audio/transcriptions`` (and translations), and
``/rerank``, which vLLM's and llama.cpp's servers have.

How such a server pools is its own affair and cannot be asked for. The option ``pooling`` says what it does (default
``mean``; a vLLM server does it with ``--pooler-config '{"pooling_type": "MEAN"}'``), and a request for another kind is
refused. A text that is too long is the server's to cut or to refuse. The other options are those of ``openai``.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bindings.ai.engine.protocol import EngineError, EngineSpec, Progress, bad_input
from bindings.ai.engine.tasks import Embed, Embedded, Score, Scored, Segment, Task, Transcribe, Transcribed
from bindings.ai.engines.openai import errors
from bindings.ai.engines.openai.engine import OpenAIEngine
from bindings.ai.error_table import INTERNAL, NO_SUCH_MODEL

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    total_tokens: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Vector]
    usage: _Usage | None = None


class _Rank(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct):
    results: list[_Rank]
    usage: _Usage | None = None


class _Transcript(msgspec.Struct):
    text: str
    language: str = ""
    duration: float = 0.0
    segments: list[Segment] | None = None


class OpenAITasks(OpenAIEngine):
    pooling = "mean"

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> OpenAITasks:
        """Ask the server whether it is there. Raises UserError when it is not, or refuses the key."""
        options = dict(spec.options)
        pooling = options.pop("pooling", cls.pooling)
        self = await super().open(msgspec.structs.replace(spec, options=options), progress)
        assert isinstance(self, OpenAITasks)
        self.pooling = pooling
        return self

    async def perform(self, task: Task, request_id: str) -> Embedded | Scored | Transcribed:
        """Raises EngineError: what the server says, or 5007 for what such servers have no route for."""
        self.live += 1
        try:
            if isinstance(task, Embed):
                return await self._embed(task)
            if isinstance(task, Score):
                return await self._score(task)
            if isinstance(task, Transcribe):
                return await self._transcribe(task)
        finally:
            self.live -= 1
        raise EngineError(NO_SUCH_MODEL, "servers of OpenAI's API have no route for this task")

    async def _embed(self, task: Embed) -> Embedded:
        if task.pooling not in (None, self.pooling):
            raise bad_input(f"'/pooling' must be '{self.pooling}': so the server behind this model pools")
        body = {"model": self.info.model, "input": task.texts, "encoding_format": "float"}
        answer = await self._fetch("/embeddings", _Embeddings, json={**body, **self._options.extra_body})
        if len(answer.data) != len(task.texts):
            raise EngineError(INTERNAL, f"{self.url}: {len(answer.data)} vectors for {len(task.texts)} texts")
        vectors = [entry.embedding for entry in sorted(answer.data, key=operator.attrgetter("index"))]
        return Embedded(vectors=vectors, pooling=self.pooling, tokens=_tokens(answer.usage))

    async def _score(self, task: Score) -> Scored:
        body = {"model": self.info.model, "query": task.query, "documents": task.texts}
        answer = await self._fetch("/rerank", _Ranking, json={**body, **self._options.extra_body})
        scores = {rank.index: rank.relevance_score for rank in answer.results}
        if sorted(scores) != list(range(len(task.texts))):
            raise EngineError(INTERNAL, f"{self.url}: the scores are not those of the texts")
        return Scored(scores=[scores[number] for number in range(len(task.texts))], tokens=_tokens(answer.usage))

    async def _transcribe(self, task: Transcribe) -> Transcribed:
        path = "/audio/translations" if task.translate else "/audio/transcriptions"
        answer = await self._fetch(path, _Transcript, data=self._form(task))
        whole = [Segment(0.0, answer.duration, answer.text.strip())] if answer.text.strip() else []
        segments = [Segment(each.start, each.end, each.text.strip()) for each in answer.segments or []] or whole
        return Transcribed(segments=segments, language=answer.language or task.language or "", duration=answer.duration)

    def _form(self, task: Transcribe) -> aiohttp.FormData:
        import aiohttp

        form = aiohttp.FormData({"model": self.info.model, "response_format": "verbose_json"})
        for name, value in (("language", task.language), ("prompt", task.prompt)):
            if value:
                form.add_field(name, value)
        form.add_field("file", task.audio, filename="audio", content_type="application/octet-stream")
        return form

    async def _fetch(self, path: str, kind: type[T], **body: Any) -> T:
        async with self._upstream(), await self._post(path, **body) as response:
            if not response.ok or response.method != "POST":
                raise self._refusal(response, await response.text(errors="replace"))
            return _decoded(await response.read(), kind, self.url)


def _decoded(data: bytes, kind: type[T], where: str) -> T:
    """Raises EngineError: it is something else, an error perhaps."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        raise errors.failure(errors.decoded(data), where) from None


def _tokens(usage: _Usage | None) -> int:
    return usage.prompt_tokens or usage.total_tokens if usage else 0
