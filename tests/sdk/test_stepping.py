"""A coroutine that is begun where it stands."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from runtime.isolate.script.stepping import begin

SAID: ContextVar[str] = ContextVar("SAID", default="nothing")


async def test_what_does_not_wait_is_over_at_once() -> None:
    seen: list[Any] = []

    async def work() -> None:
        SAID.set("within")
        seen.append(SAID.get())

    assert begin(work()) is None
    assert seen == ["within"]
    assert SAID.get() == "nothing"


async def test_what_waits_goes_on_in_the_task_it_has_begun_in() -> None:
    tasks: list[Any] = []

    async def work() -> None:
        SAID.set("within")
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        tasks.append(asyncio.current_task())
        assert SAID.get() == "within"

    here = asyncio.current_task()
    task = begin(work())
    assert asyncio.current_task() is here
    assert task is not None
    assert task in asyncio.all_tasks()
    await task
    assert tasks == [task, task]


async def test_a_task_that_lies_ready_is_nobodys() -> None:
    async def nothing() -> None:
        pass

    begin(nothing())
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_raised_first_is_raised_here_and_later_in_the_task() -> None:
    async def first() -> None:
        raise ValueError("first")

    async def later() -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    with pytest.raises(ValueError, match="first"):
        begin(first())
    task = begin(later())
    assert task is not None
    with pytest.raises(ValueError, match="later"):
        await task


async def test_it_is_cancelled_as_any_task_is() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()

    task = begin(work())
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_timeout_of_its_own_ends_it() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)

    task = begin(work())
    assert task is not None
    with pytest.raises(TimeoutError):
        await task


async def test_who_is_to_be_told_of_the_tasks_end_is_told_though_nothing_waits() -> None:
    told: list[Any] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(told.append)

    assert begin(work()) is None
    await asyncio.sleep(0.001)
    assert len(told) == 1


async def test_one_begins_within_another() -> None:
    seen: list[str] = []

    async def inner() -> None:
        seen.append("inner")
        await asyncio.sleep(0)
        seen.append("inner, later")

    async def outer() -> None:
        task = begin(inner())
        assert task is not None
        await task
        seen.append("outer")

    task = begin(outer())
    assert task is not None
    await task
    assert seen == ["inner", "inner, later", "outer"]
