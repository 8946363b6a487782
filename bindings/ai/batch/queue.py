"""Async batch: requests that wait their turn, and whose answers are fetched by their batch's id.

Facts: docs/reference/workers-ai.md#batch.

    run(model, {"requests": [...]}, {"queueRequest": True})   → {"status": "queued", "request_id", "model"}
    run(model, {"request_id": "..."})                         → queued, running, and in the end the responses

What waits is in SQLite and survives a restart. A few at a time run (``[pilot] batch_concurrency``), so that
whoever waits for an answer now is not behind all of them; each takes the way of any other ``run``.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from bindings.ai.answers.answer import RunAnswer, StreamStats
from bindings.ai.batch.requests import requests_of
from bindings.ai.batch.store import BatchStore, Outcome, Progress, QueuedRequest, QueueFull
from bindings.ai.error_table import CAPACITY, TIMEOUT
from bindings.ai.errors import ModelError, bad_input, batch_lost, capacity
from bindings.ai.gateway.options import Retries, parse_gateway
from bindings.ai.inputs.checks import mismatch
from bindings.sqlite import StoreError
from runtime.tracing import NO_SPAN, Span, current

TRANSIENT_CODES = frozenset({TIMEOUT.code, CAPACITY.code})  # failures that another attempt may not meet
RETRIES = Retries(max_attempts=5, retry_delay_ms=1000, backoff="exponential")
DISK_RETRY_S = 5.0  # before a disk that is full or broken is tried again

T = TypeVar("T")
Run = Callable[..., Awaitable[RunAnswer]]


class Batches:
    """The queue. ``run`` is the service's own; ``check(model)`` raises ModelError for a model there is not."""

    def __init__(
        self, store: BatchStore, run: Run, check: Callable[[str], object], warn: Callable[[str], None]
    ) -> None:
        self._store, self._run, self._check, self._warn = store, run, check, warn
        self._changed = asyncio.Event()
        self._concurrency, self._running = 1, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._spans: dict[str, Span] = {}  # by batch: that of who has asked for it, if that is traced
        self._dispatcher: asyncio.Task[None] | None = None

    def configure(self, concurrency: int) -> None:
        """Run so many at once; and go on with what an earlier supervisor left."""
        self._concurrency = concurrency
        if self._dispatcher is None and self._store.exists:
            self._start()
        self._changed.set()

    async def answer(self, model: str, inputs: object, options: Mapping[str, Any], request_id: str) -> RunAnswer:
        """Put the requests into the queue, or say how far a batch is. Raises ModelError."""
        if not isinstance(inputs, dict):
            raise bad_input(mismatch("/", inputs, "object"))
        try:
            id = inputs.get("request_id")
            result = await (self._status(model, id) if id else self._enqueue(model, inputs, options))
        except StoreError as error:
            self._warn(f"the batch queue cannot be used: {error}")
            raise batch_lost() from None
        return RunAnswer({"cf-ai-req-id": request_id, "cf-ai-neurons": "0"}, StreamStats(model), json=result)

    async def aclose(self) -> None:
        """What runs now is run again by the next supervisor."""
        tasks = [*self._tasks, *([self._dispatcher] if self._dispatcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.aclose()

    # What a client asks for

    async def _enqueue(self, model: str, inputs: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        self._check(model)
        requests = requests_of(inputs)
        stored = {name: value for name, value in options.items() if name != "queueRequest"}
        if stored.get("gateway"):
            parse_gateway(stored["gateway"])
        id, span = str(uuid.uuid4()), current.get()
        if span is not NO_SPAN:
            self._spans[id] = span
        try:
            await self._store.add(id, model, stored, requests)
        except (QueueFull, StoreError) as error:
            self._spans.pop(id, None)
            raise (capacity() if isinstance(error, QueueFull) else error) from None
        if self._dispatcher is None:
            self._start()
        self._changed.set()
        return {"status": "queued", "request_id": id, "model": model}

    async def _status(self, model: str, id: object) -> dict[str, Any]:
        if not isinstance(id, str):
            raise bad_input(mismatch("/request_id", id, "string"))
        progress = await self._store.progress(id, model) if self._store.exists else None
        if progress is None:
            raise bad_input(f"no batch of {model} has the request_id '{id[:64]}'; ended ones are kept for a day")
        return (
            _responses(progress) if progress.outcomes else {"status": progress.status, "request_id": id, "model": model}
        )

    # Running

    def _start(self) -> None:
        self._dispatcher = asyncio.get_running_loop().create_task(self._dispatch())

    async def _dispatch(self) -> None:
        """Start a request whenever there is one and fewer than the allowed number run."""
        await self._until_the_disk_works(self._store.resume)
        while True:
            self._changed.clear()
            request = await self._until_the_disk_works(self._store.next) if self._running < self._concurrency else None
            if request is None:
                await self._changed.wait()
            else:
                self._begin(request)

    def _begin(self, request: QueuedRequest) -> None:
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._running -= 1
        self._changed.set()

    async def _serve(self, request: QueuedRequest) -> None:
        current.set(self._spans.get(request.batch, NO_SPAN))
        outcome = await self._outcome(request)
        if await self._until_the_disk_works(lambda: self._store.end(request, outcome)):
            self._spans.pop(request.batch, None)

    async def _outcome(self, request: QueuedRequest) -> Outcome:
        inputs = {name: value for name, value in request.inputs.items() if name != "external_reference"}
        entry = {
            "id": request.number,
            "result": None,
            "success": False,
            "external_reference": request.inputs.get("external_reference"),
        }
        request_id = str(uuid.uuid4())
        try:
            answer = await self._with_retries(request, inputs, request_id)
        except ModelError as error:
            return Outcome({**entry, "error": error.envelope(request_id)["errors"][0]})
        stats = answer.stats
        return Outcome({**entry, "result": answer.json, "success": True}, stats.prompt_tokens, stats.tokens)

    async def _with_retries(self, request: QueuedRequest, inputs: dict[str, Any], request_id: str) -> RunAnswer:
        attempt = 1
        while True:
            try:
                answer = await self._run(request.model, inputs, request.options, request_id=request_id)
                return await _whole(answer)
            except ModelError as error:
                if error.code not in TRANSIENT_CODES or attempt >= RETRIES.max_attempts:
                    raise
            await asyncio.sleep(RETRIES.delay(attempt))
            attempt += 1

    async def _until_the_disk_works(self, work: Callable[[], Awaitable[T]]) -> T:
        """``work`` done, however long the disk is in trouble; meanwhile nothing new is begun."""
        warned = ""
        while True:
            try:
                return await work()
            except StoreError as error:
                if str(error) != warned:
                    warned = str(error)
                    self._warn(f"the batch queue waits: {error}")
            await asyncio.sleep(DISK_RETRY_S)


def _responses(progress: Progress) -> dict[str, Any]:
    counts = {"prompt_tokens": progress.prompt_tokens, "completion_tokens": progress.tokens}
    return {"responses": list(progress.outcomes), "usage": {**counts, "total_tokens": sum(counts.values())}}


async def _whole(answer: RunAnswer) -> RunAnswer:
    """Some inputs make a stream of their own accord; there is nobody to read it."""
    if answer.stream is not None:
        async with aclosing(answer.stream):
            raise bad_input("the answer is a stream, which a batch cannot keep")
    return answer


__all__ = ["Batches"]
