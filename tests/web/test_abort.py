"""AbortController and AbortSignal."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.web import AbortController, AbortError, AbortSignal


def test_abort_once() -> None:
    controller, heard = AbortController(), []
    controller.signal.on_abort(lambda: heard.append("callback"))
    controller.signal.add_event_listener("abort", lambda event: heard.append(event.type))
    controller.signal.onabort = lambda event: heard.append(event.target)
    controller.signal.throw_if_aborted()
    controller.abort()
    controller.abort("later")
    assert heard == [controller.signal, "callback", "abort"]
    assert controller.signal.aborted
    with pytest.raises(AbortError, match="The operation was aborted"):
        controller.signal.throwIfAborted()


@pytest.mark.parametrize(("reason", "raised"), [(ValueError("mine"), ValueError), ("words", AbortError)])
def test_reasons(reason: Any, raised: type[Exception]) -> None:
    signal = AbortSignal.abort(reason)
    assert signal.aborted
    assert signal.reason is reason
    with pytest.raises(raised, match=str(reason)):
        signal.throw_if_aborted()


def test_listeners_can_be_taken_back_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    controller, heard = AbortController(), []

    def listener(event: Any) -> None:
        heard.append(event)

    controller.signal.addEventListener("abort", listener)
    controller.signal.removeEventListener("abort", listener)
    controller.signal.on_abort(lambda: heard.append("gone"))()
    controller.signal.add_event_listener("abort", lambda _: 1 / 0)
    controller.signal.on_abort(lambda: heard.append("kept"))
    with caplog.at_level(logging.CRITICAL, logger="runtime.web.abort"):
        controller.abort()
    assert heard == ["kept"]
    controller.signal.on_abort(lambda: heard.append("at once"))
    controller.signal.add_event_listener("abort", lambda _: heard.append("never"))
    assert heard == ["kept", "at once"]


async def test_timeout_is_in_milliseconds() -> None:
    signal = AbortSignal.timeout(20)
    assert not signal.aborted
    await asyncio.wait_for(signal.wait(), 5)
    with pytest.raises(TimeoutError, match="20 ms"):
        signal.throw_if_aborted()


async def test_any() -> None:
    one, two = AbortController(), AbortController()
    both = AbortSignal.any([one.signal, two.signal])
    two.abort("two")
    one.abort("one")
    assert both.reason == "two"
    assert AbortSignal.any([one.signal]).aborted


async def test_race_gives_the_result() -> None:
    async def work() -> int:
        return 7

    signal = AbortSignal()
    assert await signal.race(work()) == 7
    assert not signal._callbacks


async def test_race_cancels_the_work() -> None:
    controller, ended = AbortController(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    asyncio.get_running_loop().call_later(0.01, controller.abort)
    with pytest.raises(AbortError):
        await controller.signal.race(work())
    assert ended.is_set()
    with pytest.raises(AbortError):
        await controller.signal.race(asyncio.sleep(30))


async def test_race_lets_a_cancelled_task_be_cancelled() -> None:
    controller = AbortController()
    task = asyncio.create_task(controller.signal.race(asyncio.sleep(30)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
