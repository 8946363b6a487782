"""Embeddings by llama.cpp, no torch: the embedded all-MiniLM-L6-v2, or any GGUF file of an encoder.

How token vectors become one (``pooling``) is fixed when llama.cpp loads a model, so each kind of pooling that is
asked for has a server of its own, made on first use; the weights are mapped into memory once. The texts of a
request are read a few at a time: whoever leaves is noticed in between.

Options: ``n_ctx`` (tokens of one text; default 512, the embedded model 256, as it was trained), ``n_parallel``
(texts at a time; default 16), ``pooling`` (the one to load with; the file's own), and any field of
``xllamacpp.CommonParams``.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from bindings.ai.engine import embedded, weights
from bindings.ai.engine.protocol import EngineError, EngineInfo, EngineSpec, Progress
from bindings.ai.engine.tasks import Embed, Embedded, Task, TextTooLong
from bindings.ai.engines.llamacpp.interfaces import LlamaServer
from bindings.ai.engines.llamacpp.load import existing, library, load
from bindings.ai.engines.llamacpp.questions import Questions
from bindings.ai.engines.llamacpp.read import refusal
from bindings.ai.error_table import NO_SUCH_MODEL

_MINILM = {"n_ctx": 256}  # what sentence-transformers reads with it, although it has 512 positions
_DEFAULTS = {"n_ctx": 512, "n_parallel": 16, "verbosity": 1, "ui": False, "embedding": True}
_POOLING_NAMES = {1: "mean", 2: "cls", 3: "last"}  # llama.cpp's numbers; others give no single vector


class _PoolingServer(msgspec.Struct):
    """llama.cpp with one kind of pooling; ``questions`` reach its tokenizer."""

    llama: LlamaServer
    questions: Questions
    pooling: str

    async def tokens(self, text: str) -> list[int]:
        body = {"content": text, "add_special": True, "parse_special": True}
        tokens: list[int] = (await self.questions.ask("/tokenize", body))["tokens"]
        return tokens


class LlamaCppEmbedding:
    alive = True

    def __init__(self, path: Path, options: dict[str, Any], own: str) -> None:
        self.live, self._path, self._options, self._own = 0, path, options, own
        self._servers: dict[str, _PoolingServer] = {}
        self._stack, self._opening = AsyncExitStack(), asyncio.Lock()
        self.info = EngineInfo(
            engine="llamacpp",
            model=path.name,
            version=library().__version__,
            device="cpu",
            context_window=options["n_ctx"],
        )

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> LlamaCppEmbedding:
        """Fetch the embedded model if that is the one, and load. Raises UserError with a remedy."""
        built_in = spec.model == embedded.NAME
        path = await weights.embedded_model(progress, embedded.MINILM) if built_in else existing(spec.model)
        progress("load", None)
        options = {**_DEFAULTS, **(_MINILM if built_in else {}), **spec.options}
        options = {"n_batch": options["n_ctx"], "n_ubatch": options["n_ctx"], **options}  # a text is read whole
        pooling = options.pop("pooling", None)
        self = cls(path, options, await asyncio.to_thread(_own_pooling, path))
        await self._server(pooling or self._own)
        return self

    async def perform(self, task: Task, request_id: str) -> Embedded:
        """Raises EngineError 3030 for a text that is too long and may not be cut, 5007 for any other task."""
        if not isinstance(task, Embed):
            raise EngineError(NO_SUCH_MODEL, "llama.cpp makes embeddings and no other task's answers")
        server = await self._server(task.pooling or self._own)
        found, step = Embedded(vectors=[], pooling=server.pooling, tokens=0), self._options["n_parallel"]
        self.live += 1
        try:
            texts = [await self._fitting(server, text, task) for text in task.texts]
            for first in range(0, len(texts), step):
                await _embed(server, texts[first : first + step], found)
        finally:
            self.live -= 1
        return found

    async def _fitting(self, server: _PoolingServer, text: str, task: Embed) -> str | list[int]:
        """The text, or its tokens cut to what the model reads, the closing one kept."""
        own = int(self._options["n_ctx"])
        limit = min(own, task.limit or own)
        if len(text) < limit // 4:  # letters may come apart into a few tokens, not into more
            return text
        tokens = await server.tokens(text)
        if len(tokens) > limit and not task.truncate:
            raise TextTooLong(len(tokens), limit)
        return tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]

    async def _server(self, pooling: str) -> _PoolingServer:
        async with self._opening:
            if pooling not in self._servers:
                self._servers[pooling] = await self._start(pooling)
        return self._servers[pooling]

    async def _start(self, pooling: str) -> _PoolingServer:
        kind = getattr(library().llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
        socket = f"{self._stack.enter_context(tempfile.TemporaryDirectory(prefix='pilot-'))}/llama.sock"
        llama = await asyncio.to_thread(load, self._path, self._options, socket, pooling_type=kind)
        return _PoolingServer(llama, Questions(socket), pooling)

    async def aclose(self) -> None:
        await self._stack.aclose()
        await asyncio.to_thread(self._servers.clear)  # llama.cpp's destructors wait: not for the event loop's thread


async def _embed(server: _PoolingServer, texts: list[str | list[int]], found: Embedded) -> None:
    answer = await asyncio.to_thread(server.llama.handle_embeddings, {"input": texts})
    if "error" in answer:
        raise refusal(answer["error"])
    found.vectors += [entry["embedding"] for entry in sorted(answer["data"], key=lambda entry: entry["index"])]
    found.tokens += answer["usage"]["prompt_tokens"]


def _own_pooling(path: Path) -> str:
    """What the file says of itself; mean where it says nothing of use."""
    fields: Any = import_module("gguf").GGUFReader(path).fields
    architecture = fields["general.architecture"].contents()
    field = fields.get(f"{architecture}.pooling_type")
    return _POOLING_NAMES.get(field.contents() if field else 1, "mean")
