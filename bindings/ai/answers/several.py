"""Several prompts in one request: their deltas, as those of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from bindings.ai.engine.protocol import Delta, Extra

ROOM = 64  # deltas that lie here for a slow reader; then the engine waits
Arrived = asyncio.Queue[tuple[int, Delta | Exception | None]]


async def joined(parts: Sequence[AsyncGenerator[Delta, None]], n: int) -> AsyncGenerator[Delta, None]:
    """Each part's ``n`` answers are numbered behind the last one's. Nothing comes before all prompts are taken, so
    that one that is refused refuses the request. Closing it closes the parts."""
    arrived: Arrived = asyncio.Queue(ROOM)
    tasks = [asyncio.create_task(_hand_on(number, part, arrived)) for number, part in enumerate(parts)]
    try:
        held: list[tuple[int, Delta]] = []
        counts = _Counts(len(parts))
        while counts.running:
            number, item = await arrived.get()
            if isinstance(item, Exception):
                raise item
            counts.see(number, item)
            if item is not None:
                held.append((number, item))
            if None not in counts.prompts:
                for number, delta in held:
                    yield _renumbered(delta, number * n, counts)
                held.clear()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Counts:
    """Tokens of each part's prompt (None: not taken yet), and how many of them were cached."""

    def __init__(self, parts: int) -> None:
        self.running = parts
        self.prompts: list[int | None] = [None] * parts
        self.cached = [0] * parts

    def see(self, number: int, delta: Delta | None) -> None:
        if delta is None:
            self.running -= 1
            self.prompts[number] = self.prompts[number] or 0
            return
        self.prompts[number] = delta.prompt_tokens
        if delta.extra is not None and delta.extra.cached_tokens:
            self.cached[number] = delta.extra.cached_tokens


def _renumbered(delta: Delta, by: int, counts: _Counts) -> Delta:
    extra = delta.extra or Extra()
    extra = msgspec.structs.replace(extra, index=extra.index + by, cached_tokens=sum(counts.cached))
    return Delta(delta.text, delta.tokens, sum(map(int, filter(None, counts.prompts))), delta.finish_reason, extra)


async def _hand_on(number: int, part: AsyncGenerator[Delta, None], arrived: Arrived) -> None:
    try:
        async with aclosing(part):
            async for delta in part:
                await arrived.put((number, delta))
        await arrived.put((number, None))
    except Exception as error:
        await arrived.put((number, error))


__all__ = ["joined"]
