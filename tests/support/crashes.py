"""A server that is killed in mid-write again and again: what it has acknowledged must be there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from serving import Served, serving

WRITERS = 16  # requests at a time
LONGEST_S = 0.3  # of writing, before it is killed

Write = Callable[[Served, int], Awaitable[bool]]  # number → whether it was acknowledged
Lost = Callable[[Served, range, set[int]], Awaitable[set[int]]]  # (numbers tried, acknowledged) → what is wrong


async def kill_again_and_again(folder: Path, times: int, write: Write, lost: Lost, seed: int = 1) -> int:
    """How many writes were acknowledged; asserts that none of them is lost. ``write`` gets a new number each time."""
    chance, acknowledged, tried = random.Random(seed), set[int](), 0
    for _ in range(times):
        async with serving(folder) as pilot:
            assert await lost(pilot, range(tried), acknowledged) == set()
            numbers = iter(range(tried, 10**9))

            async def write_on(pilot: Served = pilot, numbers: object = numbers) -> None:
                with suppress(aiohttp.ClientError, OSError):
                    while True:
                        number = next(numbers)  # type: ignore[call-overload]
                        if await write(pilot, number):
                            acknowledged.add(number)

            writers = [asyncio.create_task(write_on()) for _ in range(WRITERS)]
            await asyncio.sleep(chance.uniform(0.01, LONGEST_S))
            pilot.process.kill()
            await asyncio.gather(*writers)
            tried = next(numbers)
    async with serving(folder) as pilot:
        assert await lost(pilot, range(tried), acknowledged) == set()
    return len(acknowledged)
