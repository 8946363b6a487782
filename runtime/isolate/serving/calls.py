"""Calls of other workers: methods of this worker's entrypoint classes, and objects that it has lent.

An instance is made for each call (``entrypoint(ctx, env)``). ``id`` is not None where the entrypoint is a class of
which an instance lives on under that name: ``_instance`` then says which.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import Any

from runtime.isolate.calls.packing import Table
from runtime.isolate.calls.stubs import RpcTarget
from runtime.isolate.gates import until_kept
from runtime.isolate.remote import current_event
from runtime.isolate.script.entrypoints import DEFAULT, entrypoints
from runtime.isolate.script.errors import ScriptFailure, as_remote
from runtime.isolate.script.handlers import in_thread, is_async
from runtime.isolate.serving.context import Context
from runtime.isolate.serving.worker import Worker, is_the_scripts
from runtime.values import JsException, from_wire
from runtime.wire.protocol import current_call

RESERVED = frozenset({"fetch", "connect"})
RESERVED_OF_OBJECTS = RESERVED | {"alarm", "webSocketMessage", "webSocketClose", "webSocketError"}

Answer = tuple[tuple[bytes, Table], object]
"""What is sent, and what was returned."""


class Calls:
    def __init__(self, worker: Worker) -> None:
        self._worker, self._line = worker, worker.line
        self._classes: dict[str, type[Any]] = {}  # that were called before

    async def call(
        self, event: int, entrypoint: str, id: str | None, method: str, payload: bytes, table: Table, props: Any
    ) -> tuple[bytes, Table]:
        """(payload, table) of what ``method`` of the class ``entrypoint`` returns. Raises ScriptFailure."""
        ctx = self._worker.begin(event)
        if props:
            ctx.props = from_wire(props)
        try:
            args = self._line.unpack(payload, table)
            function = self._method(self._instance(entrypoint, id, ctx), method, id)
            answer, _returned = await self._answer(_run(function, args))
            return answer
        except BaseException as error:
            raise _crossing(error) from None
        finally:
            ctx.responded()

    async def invoke(self, event: int, number: int, method: str, payload: bytes, table: Table) -> tuple[bytes, Table]:
        """The same of an object that was lent; "": it is a function. It runs as of the event that lent it; what it asks
        for is counted for ``event``."""
        try:
            lent = self._line.loans.find(number)
            function = _function(lent.value, method)
        except JsException as error:
            raise _crossing(error) from None
        context = lent.context.copy()
        context.run(current_event.set, event)
        context.run(current_call.set, current_call.get())
        running = asyncio.create_task(self._invoked(function, payload, table), context=context)
        answer, _returned = await running  # which is let go of once the answer is on its way
        return answer

    async def _invoked(self, function: Callable[..., Any], payload: bytes, table: Table) -> Answer:
        try:
            answer = await self._answer(_run_here(function, self._line.unpack(payload, table)))
            await until_kept()
            return answer
        except BaseException as error:
            raise _crossing(error) from None

    async def _answer(self, work: Coroutine[Any, Any, object]) -> Answer:
        try:
            returned = await self._worker.metered(work)
        except JsException as error:
            raise as_remote(error) from None  # of the script's own; ours are as they are
        return self._line.pack(returned), returned

    def _instance(self, entrypoint: str, id: str | None, ctx: Context) -> object:
        if (cls := self._classes.get(entrypoint)) is not None:
            return cls(ctx, self._worker.env)
        known = entrypoints(self._worker.script)
        if entrypoint in known:
            self._classes[entrypoint] = known[entrypoint]
            return known[entrypoint](ctx, self._worker.env)
        if entrypoint == DEFAULT:
            return None  # a script of functions, which has no methods
        raise JsException(f'this worker has no entrypoint "{entrypoint}"; it has: {", ".join(known) or "none"}')

    def _method(self, instance: object, name: str, id: str | None) -> Callable[..., Any]:
        if name in (RESERVED if id is None else RESERVED_OF_OBJECTS):
            raise JsException(f"'{name}' is a reserved method and cannot be called over RPC.", "TypeError")
        function: Callable[..., Any] | None = None if name.startswith("__") else getattr(instance, name, None)
        if not callable(function):
            raise JsException(f"Method {name} does not exist", "TypeError")
        return function


def _function(value: object, name: str) -> Callable[..., Any]:
    """What is called of an object that was lent. Raises JsException."""
    if not name and callable(value):
        return value
    if isinstance(value, RpcTarget) and not name.startswith("_") and callable(getattr(type(value), name, None)):
        return getattr(value, name)  # type: ignore[no-any-return]
    raise JsException(
        f'The RPC receiver does not implement the method "{name}".' if name else "The RPC receiver is not a function.",
        "TypeError",
    )


async def _run(function: Callable[..., Any], args: Sequence[Any]) -> object:
    """A plain method may block, as a handler may."""
    result = function(*args) if is_async(function) else await in_thread(function, tuple(args))
    return await result if type(result) is CoroutineType or inspect.isawaitable(result) else result


async def _run_here(function: Callable[..., Any], args: Sequence[Any]) -> object:
    """What was lent is part of a worker that goes on meanwhile: not in another thread."""
    result = function(*args)
    return await result if inspect.isawaitable(result) else result


def _crossing(error: BaseException) -> BaseException:
    if isinstance(error, ScriptFailure) or not is_the_scripts(error):
        return error
    if isinstance(error, JsException):
        return ScriptFailure(error.name, error.message, {"remote": True})
    return as_remote(error)


__all__ = ["Calls"]
