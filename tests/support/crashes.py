"""A server that is killed in mid-write again and again: what it has acknowledged must be there."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TypeVar

import aiohttp

from serving import Served, serving

WRITERS = 16  # requests at a time
LONGEST_S = 0.3  # of writing after the first acknowledgement, before it is killed
FIRST_S = 60.0  # until that

S = TypeVar("S", bound=Served)
Write = Callable[[S, int], Awaitable[bool]]  # number → whether it was acknowledged
Lost = Callable[[S, range, set[int]], Awaitable[set[int]]]  # (numbers tried, acknowledged) → what is wrong


def kills(usual: int) -> int:
    """How often a server is killed: as the variable KILLS says, for those who want to be surer."""
    return int(os.environ.get("KILLS", usual))


async def kill_again_and_again(
    folder: Path, times: int, write: Write[Served], lost: Lost[Served], seed: int = 1
) -> int:
    """Of ``pilot dev``: see ``kill_servers``."""
    return await kill_servers(lambda: serving(folder), times, write, lost, seed)


async def kill_servers(
    start: Callable[[], AbstractAsyncContextManager[S]], times: int, write: Write[S], lost: Lost[S], seed: int = 1
) -> int:
    """How many writes were acknowledged; asserts that none of them is lost. ``write`` gets a new number each time."""
    chance, acknowledged, tried = random.Random(seed), set[int](), 0
    for _ in range(times):
        async with start() as pilot:
            assert await lost(pilot, range(tried), acknowledged) == set()
            numbers, before = iter(range(tried, 10**9)), len(acknowledged)

            async def write_on(pilot: S = pilot, numbers: object = numbers) -> None:
                with suppress(aiohttp.ClientError, OSError):
                    while True:
                        number = next(numbers)  # type: ignore[call-overload]
                        if await write(pilot, number):
                            acknowledged.add(number)

            writers = [asyncio.create_task(write_on()) for _ in range(WRITERS)]
            async with asyncio.timeout(FIRST_S):
                while len(acknowledged) == before and not all(writer.done() for writer in writers):
                    await asyncio.sleep(0.005)
            await asyncio.sleep(chance.uniform(0.01, LONGEST_S))
            pilot.process.kill()
            await asyncio.gather(*writers)
            tried = next(numbers)
    async with start() as pilot:
        assert await lost(pilot, range(tried), acknowledged) == set()
    print(f"{times} kills, {tried} writes begun, {len(acknowledged)} acknowledged")
    return len(acknowledged)
