"""``tails``: entrypoints of the loader's that are told what becomes of a Dynamic Worker's events, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from bindings.base import CallError, Target
from bindings.context import ProductObserver
from bindings.messages import TraceItem
from runtime.errors import UserError
from runtime.supervisor.calls.call import Call, Callee, Caller
from runtime.supervisor.telemetry.tracing import NoTracer
from runtime.supervisor.traces.traces import LATE_S, Traces
from runtime.tracing import NO_SPAN
from runtime.wire import ChannelClosed, RemoteError

T = TypeVar("T")
_HANDED_WITHIN_S = 60.0
_MAX_WAITING = 1000  # items
_encode = msgspec.msgpack.Encoder().encode


class Tails:
    """A ``TraceReader`` of one Dynamic Worker."""

    def __init__(self, name: str, targets: Sequence[Target], observer: ProductObserver) -> None:
        self._name, self._targets, self._observer = name, targets, observer
        self._traces = Traces([self], NoTracer())
        self._telling: set[asyncio.Task[Any]] = set()

    async def watched(self, about: Mapping[str, Any], work: Awaitable[T]) -> T:
        """Its outcome; the tails hear of it later."""
        return await (self._traces.event(self._name, about, work) if self._targets else work)

    def printed(self, stream: str, line: str) -> None:
        self._traces.printed(self._name, stream, line)

    def wants(self, worker: str) -> bool:
        return bool(self._targets)

    def take(self, worker: str, item: TraceItem) -> None:
        for target in self._targets:
            self._begin(self._hand_over(target, item))

    async def aclose(self) -> None:
        """Once what has happened is told."""
        if self._targets:
            await asyncio.sleep(2 * LATE_S)
        if self._telling:
            await asyncio.wait(self._telling, timeout=_HANDED_WITHIN_S)

    def _begin(self, work: Any) -> None:
        if len(self._telling) >= _MAX_WAITING:
            return work.close()  # type: ignore[no-any-return]
        task = asyncio.ensure_future(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _hand_over(self, target: Target, item: TraceItem) -> None:
        call = Call(Caller(1, NO_SPAN), target, "tail", _encode([[item]]), [])
        try:
            assert target.reach is not None
            async with asyncio.timeout(_HANDED_WITHIN_S):
                callee: Callee = await target.reach()
                await callee.call(call)
        except (CallError, UserError, RemoteError, ChannelClosed, TimeoutError) as error:
            self._observer.error(f"tails of a Dynamic Worker: {error or 'no answer in time'}", self._name)


__all__ = ["Tails"]
