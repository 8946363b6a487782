"""Several prompts in one request: the deltas of each, merged into one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engine.protocol import Delta, Extra

QUEUED_DELTAS = 64  # at most so many wait for a slow reader; then the engine waits
DeltaQueue = asyncio.Queue[tuple[int, Delta | Exception | None]]


async def merged(parts: Sequence[DeltaIterator], n: int) -> AsyncGenerator[Delta, None]:
    """The deltas of ``parts``, one per prompt; the ``n`` answers of each are numbered after those of the one before.

    Nothing comes before the engine has taken all prompts, so that one that it refuses refuses the request. Closing this
    closes the parts."""
    queue: DeltaQueue = asyncio.Queue(QUEUED_DELTAS)
    tasks = [asyncio.create_task(_forward(number, part, queue)) for number, part in enumerate(parts)]
    try:
        held: list[tuple[int, Delta]] = []
        prompts = _PromptTokens(len(parts))
        while prompts.running:
            number, item = await queue.get()
            if isinstance(item, Exception):
                raise item
            prompts.count(number, item)
            if item is not None:
                held.append((number, item))
            if None not in prompts.tokens:
                for number, delta in held:
                    yield _renumbered(delta, number * n, prompts)
                held.clear()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _PromptTokens:
    """Tokens of each part's prompt (None: not taken yet), and how many of them were cached."""

    def __init__(self, parts: int) -> None:
        self.running = parts
        self.tokens: list[int | None] = [None] * parts
        self.cached = [0] * parts

    def count(self, number: int, delta: Delta | None) -> None:
        if delta is None:
            self.running -= 1
            self.tokens[number] = self.tokens[number] or 0
            return
        self.tokens[number] = delta.prompt_tokens
        if delta.extra is not None and delta.extra.cached_tokens:
            self.cached[number] = delta.extra.cached_tokens


def _renumbered(delta: Delta, by: int, prompts: _PromptTokens) -> Delta:
    extra = delta.extra or Extra()
    extra = msgspec.structs.replace(extra, index=extra.index + by, cached_tokens=sum(prompts.cached))
    return Delta(delta.text, delta.tokens, sum(map(int, filter(None, prompts.tokens))), delta.finish_reason, extra)


async def _forward(number: int, part: DeltaIterator, queue: DeltaQueue) -> None:
    try:
        async with aclosing(part):
            async for delta in part:
                await queue.put((number, delta))
        await queue.put((number, None))
    except Exception as error:
        await queue.put((number, error))


__all__ = ["merged"]
