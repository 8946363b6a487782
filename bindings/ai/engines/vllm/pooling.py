"""vLLM's pooling runner: embeddings, cross-encoder scores and class probabilities, one forward pass per text.

Texts are turned into tokens here, as the model's own tokenizer does it, so that what is too long is cut or refused
by Workers AI's rules and a pair of texts is joined as the model was trained. The engine batches what arrives
together; leaving aborts what is still inside.

How token vectors become one is fixed when vLLM loads a model (option ``pooling``: ``mean`` or ``cls``; absent: as
its configuration says). A request that wants another kind gets the vectors of all tokens pooled here. The other
options are the fields of ``AsyncEngineArgs``, with the defaults of the ``vllm`` engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from bindings.ai.engine.protocol import EngineError, EngineInfo, EngineSpec, Progress
from bindings.ai.engine.tasks import Classified, Classify, Embed, Embedded, Score, Scored, Task, TextTooLong
from bindings.ai.engines import hub
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.errors import ErrorTranslator
from bindings.ai.engines.vllm.interfaces import AsyncLLM, Prompt
from bindings.ai.engines.vllm.load import describe, load
from bindings.ai.engines.vllm.sleep import Sleep
from bindings.ai.error_table import INTERNAL, NO_SUCH_MODEL

T = TypeVar("T")


class VLLMPooling:
    def __init__(self, llm: AsyncLLM, info: EngineInfo, tasks: tuple[str, ...]) -> None:
        self.info, self.live = info, 0
        self._llm, self._tasks, self._errors, self._sleep = llm, tasks, ErrorTranslator(), Sleep(llm)
        self._params = compat.get("PoolingParams")
        self._tokenizer = llm.get_tokenizer()
        self._thread = ThreadPoolExecutor(1, "tokenizer")  # one: a tokenizer that truncates keeps state
        self._own = str(llm.model_config.pooler_config.seq_pooling_type or "").lower()

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> VLLMPooling:
        """Load the model; tens of seconds. Raises UserError with a remedy."""
        await asyncio.to_thread(hub.check_available, spec.model)
        progress("load", None)
        options = {"runner": "pooling", **spec.options}
        if pooling := options.pop("pooling", None):
            options.setdefault("pooler_config", {"pooling_type": pooling.upper()})
        llm = await asyncio.to_thread(load, spec.model, options, compat.POOLING)
        self = cls(llm, describe(llm, spec.model), await llm.get_supported_tasks())
        progress("warm-up", None)
        await self._encode(self._tokens("Hi"), self._tasks[0], "warm-up")
        return self

    @property
    def alive(self) -> bool:
        return not self._llm.errored

    async def perform(self, task: Task, request_id: str) -> Embedded | Scored | Classified:
        """Raises EngineError: 3030 for a text that is too long and may not be cut, 5007 for what it cannot do."""
        self.live += 1
        try:
            with self._errors.translated():
                if isinstance(task, Embed) and "embed" in self._tasks:
                    return await self._embed(task, request_id)
                if isinstance(task, Score) and self._classifies:
                    return await self._score(task, request_id)
                if isinstance(task, Classify) and self._classifies:
                    return await self._classify(task, request_id)
        finally:
            self.live -= 1
        can = ", ".join(self._tasks)
        raise EngineError(NO_SUCH_MODEL, f"{self.info.model} cannot do this; vLLM runs it for: {can}")

    async def _embed(self, task: Embed, request_id: str) -> Embedded:
        prompts = await self._in_thread(lambda: [self._fitting(text, task) for text in task.texts])
        pooling = task.pooling or self._own
        kind = "embed" if pooling == self._own else "token_embed"
        found = await self._encode_all(prompts, kind, request_id)
        vectors = found if kind == "embed" else [_pooled(tokens, pooling) for tokens in found]
        return Embedded(vectors=[vector.tolist() for vector in vectors], pooling=pooling, tokens=_count(prompts))

    async def _score(self, task: Score, request_id: str) -> Scored:
        prompts = await self._in_thread(lambda: [self._tokens(task.query, text) for text in task.texts])
        found = await self._encode_all(prompts, self._classifies, request_id)
        return Scored(scores=[float(scores.flatten()[-1]) for scores in found], tokens=_count(prompts))

    async def _classify(self, task: Classify, request_id: str) -> Classified:
        prompt = await self._in_thread(lambda: self._tokens(task.text))
        scores = (await self._encode(prompt, self._classifies, request_id)).tolist()
        names = self._llm.model_config.hf_config.id2label
        return Classified(
            labels=[(names[number], score) for number, score in enumerate(scores)], tokens=_count([prompt])
        )

    @property
    def _classifies(self) -> str:
        """vLLM's task for both: a cross-encoder is a classifier of pairs."""
        return "classify" if "classify" in self._tasks else ""

    def _fitting(self, text: str, task: Embed) -> Prompt:
        own = int(self._llm.model_config.max_model_len)
        limit = min(own, task.limit or own)
        prompt = self._tokens(text)
        if (length := len(prompt["prompt_token_ids"])) <= limit:
            return prompt
        if not task.truncate:
            raise TextTooLong(length, limit)
        return self._tokens(text, limit=limit)

    def _tokens(self, *texts: str, limit: int | None = None) -> Prompt:
        """A text, or a pair of them whose second is cut to what the model reads."""
        if len(texts) == 2:
            limit = int(self._llm.model_config.max_model_len)
        cut = {"truncation": "only_second" if len(texts) == 2 else True, "max_length": limit} if limit else {}
        return _prompt(self._tokenizer(*texts, **cut))

    async def _encode_all(self, prompts: list[Prompt], kind: str, request_id: str) -> list[Any]:
        work = [
            asyncio.ensure_future(self._encode(prompt, kind, f"{request_id}-{number}"))
            for number, prompt in enumerate(prompts)
        ]
        try:
            return await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()

    async def _encode(self, prompt: Prompt, kind: str, request_id: str) -> Any:
        types = prompt.pop("token_type_ids", None)
        params = self._params(task=kind, use_activation=False if kind == "token_embed" else None, extra_kwargs=types)
        (ready,) = await self._llm.renderer.render_cmpl_async([prompt])
        async with aclosing(self._llm.encode(ready, params, request_id)) as outputs:
            async for output in outputs:
                return output.outputs.data.float()
        raise EngineError(INTERNAL, "The model gave the request up")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def sleep(self) -> int:
        return await self._sleep.begin()

    async def wake(self) -> None:
        await self._sleep.end()

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False)
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report the end as a crash
        await asyncio.to_thread(self._llm.shutdown, 3.0)


def _prompt(encoded: Mapping[str, list[int]]) -> Prompt:
    """vLLM's prompt. It takes the types of a pair's tokens (0…0 1…1) as the place of the first 1."""
    prompt, types = {"prompt_token_ids": encoded["input_ids"]}, encoded.get("token_type_ids") or []
    return {**prompt, "token_type_ids": {"compressed_token_type_ids": types.index(1)}} if 1 in types else prompt


def _pooled(tokens: Any, pooling: str) -> Any:
    """One unit vector of the vectors of all tokens."""
    vector = tokens[0] if pooling == "cls" else tokens.mean(0)
    return vector / vector.norm()


def _count(prompts: Iterable[Prompt]) -> int:
    return sum(len(prompt["prompt_token_ids"]) for prompt in prompts)
