"""A coroutine that is run as far as it gets, and the rest of it in a task."""

from __future__ import annotations

import asyncio

import pytest

from runtime.isolate.calls.begun import begun

pytestmark = pytest.mark.asyncio


async def test_what_waits_for_nothing_is_over_at_once() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    assert begun(work()) is None
    assert done == [1]


async def test_what_waits_goes_on_in_a_task() -> None:
    loop = asyncio.get_running_loop()
    first, second, done = loop.create_future(), loop.create_future(), list[int]()

    async def work() -> None:
        done.append(await first)
        done.append(await second)

    rest = begun(work())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    first.set_result(1)
    second.set_result(2)
    await task
    assert done == [1, 2]


async def test_its_errors_and_its_end_reach_it() -> None:
    async def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        begun(fails())
    never, closed = asyncio.get_running_loop().create_future(), list[int]()

    async def waits() -> None:
        try:
            await never
        finally:
            closed.append(1)

    rest = begun(waits())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [1]
