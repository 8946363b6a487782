"""What becomes of calls between workers, and of what their objects deal with, for whoever reads a worker's traces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.supervisor.calls.call import Answer, Begun, Call, Callee, ServiceAnswer, ServiceRequest
from runtime.supervisor.traces.traces import Traces, raised

_KINDS = {"webSocketMessage": "message", "webSocketClose": "close", "webSocketError": "error"}


class TracedCallee:
    """A version of ``worker``, or what of it lives on between calls."""

    def __init__(self, worker: str, callee: Callee, traces: Traces) -> None:
        self._worker, self._callee, self._traces = worker, callee, traces

    def begin(self, *, requests: bool = False) -> Begun | None:
        """What is told of takes a task."""

    async def call(self, call: Call) -> Answer:
        target = call.target
        facts: dict[str, Any] = {"entrypoint": target.entrypoint}
        if target.id is not None:
            facts |= of_object(target.entrypoint, target.id)
        return await self._traces.event(
            self._worker, {"rpcMethod": call.method}, self._callee.call(call), facts, call.caller.span
        )

    async def request(self, request: ServiceRequest) -> ServiceAnswer:
        about: dict[str, Any] = {"request": {"url": request.url, "method": request.method}}
        facts = {"entrypoint": request.target.entrypoint}
        return await self._traces.event(self._worker, about, self._answered(request, about), facts, request.caller.span)

    async def _answered(self, request: ServiceRequest, about: dict[str, Any]) -> ServiceAnswer:
        answer = await self._callee.request(request)
        about["response"] = {"status": answer.status}
        return answer


class TracedReach:
    """``Reach`` of two functions that are that."""

    def __init__(
        self, traces: Traces, find: Callable[[str], Awaitable[Callee]], at_hand: Callable[[str], Callee | None]
    ) -> None:
        self._traces, self._find, self._at_hand = traces, find, at_hand

    async def __call__(self, worker: str) -> Callee:
        return TracedCallee(worker, await self._find(worker), self._traces)

    def at_hand(self, worker: str) -> Callee | None:
        return None if self._traces.has_use(worker) else self._at_hand(worker)


def delivered(
    traces: Traces, reside: Callable[[str, str, Sequence[Any]], Awaitable[object]]
) -> Callable[[str, str, Sequence[Any]], Awaitable[object]]:
    """What hibernated sockets have to say. ``args``: of the class, the id, its name, the socket, and what there is."""

    async def deliver(worker: str, method: str, args: Sequence[Any]) -> object:
        if not traces.wanted(worker):
            return await reside(worker, method, args)
        cls, id, _, _, *said = args
        facts, about = of_object(cls, id), {"webSocketEventType": _KINDS[method]}
        if method == "webSocketClose":
            about |= {"code": said[0], "wasClean": said[2]}

        async def dealt_with() -> object:
            if isinstance(failed := await reside(worker, method, args), str):
                facts.update(raised(failed))
            return failed

        return await traces.event(worker, {"getWebSocketEvent": about}, dealt_with(), facts)

    return deliver


def of_object(cls: str, id: str) -> dict[str, Any]:
    """Facts of an item."""
    return {"entrypoint": cls, "executionModel": "durableObject", "durableObjectId": id}


__all__ = ["TracedReach", "delivered", "of_object"]
