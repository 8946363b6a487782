"""An engine as the supervisor sees it: the same ``generate``, while a process behind it comes and goes (``life``).

The way of a token, from ``process``: ``EngineClient.deltas`` makes each list of the ``RemoteStream`` a ``Delta``. If
a slow reader has left more than ``COALESCE_ABOVE`` waiting, it makes one of them. ``generate`` returns it all as a
``DeltaStream`` (``delta_stream``, next). Closing that drops the remote stream, which aborts the request. The requests
inside a process that dies get ``EngineLost``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import msgspec

from bindings.ai.engine import tasks
from bindings.ai.engine.delta_stream import DeltaOrigin, DeltaStream
from bindings.ai.engine.deltas import coalesced, from_wire
from bindings.ai.engine.life import EngineLife
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import Delta, EngineError, EngineInfo, EngineLost, Generate
from bindings.ai.error_table import INTERNAL, TABLE
from runtime import VERSION
from runtime.tracing import NO_SPAN, Span, current, part
from runtime.wire import ChannelClosed, RemoteError

COALESCE_ABOVE = 16  # deltas; a reader that has more waiting gets them as one
METRICS_TIMEOUT_S = 3.0


class EngineClient(EngineLife):
    """One process: what is asked of it."""

    async def ready(self) -> EngineInfo:
        """Wait until the model is loaded. Raises ModelUnavailable or StillLoading."""
        await self.serving()
        assert self.info is not None
        return self.info

    def generate(self, request: Generate, request_id: str) -> DeltaStream:
        """As ``Engine.generate``. Deltas that a slow reader left lying arrive as one."""
        origin = DeltaOrigin()
        return DeltaStream(self.deltas(origin, request, request_id), origin)

    async def deltas(self, origin: DeltaOrigin, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        """What ``generate`` streams; ``origin`` is told the stream behind it."""
        process = await self.serving()
        with self._asked(origin.span) as span, self._translating_errors(process):
            stream = origin.stream = process.stream(_continued(request, span), request_id)
            try:
                async for item in stream:
                    if not stream.waiting:
                        yield from_wire(item)
                        continue
                    ready = [from_wire(each) for each in (item, *stream.take_ready())]
                    for delta in coalesced(ready) if len(ready) > COALESCE_ABOVE else ready:
                        yield delta
            finally:
                stream.drop()

    async def perform(self, task: tasks.Task, request_id: str) -> Any:
        """The answer to any task but text generation (``bindings.ai.engine.tasks``). Raises EngineError."""
        process = await self.serving()
        with self._asked(current.get()), self._translating_errors(process):
            return msgspec.convert(await process.perform(task, request_id), tasks.ANSWER_TYPES[type(task)])

    def _asked(self, parent: Span) -> AbstractContextManager[Span]:
        """The engine's part of a trace: one for each replica that is asked, the one that is lost among them."""
        if parent is NO_SPAN:
            return nullcontext(NO_SPAN)
        facts = {"pilot.replica": self.replica, "pilot.node": self.room.node or None}
        return part(parent, f"engine {self.name}", "client", facts)

    @contextmanager
    def _translating_errors(self, process: EngineProcess) -> Iterator[None]:
        """A request is in the process; what becomes of it there, as ``EngineError``."""
        self.live += 1
        try:
            yield
        except RemoteError as error:
            raise self._failure(error, process) from None
        except ChannelClosed:
            self._lost(process)
            raise EngineLost from None
        finally:
            self.returned()

    async def lend(self) -> dict[str, Any]:
        """Where another front asks the process, as ``Listening.begin_here``; it is in use until ``returned`` is called.
        Raises EngineError."""
        process = await self.serving()
        self.live += 1
        try:
            return await process.listen_here(VERSION)
        except BaseException as error:
            self.returned()
            raise (EngineLost() if isinstance(error, ChannelClosed) else error) from None

    def returned(self) -> None:
        self.live -= 1
        self.used_at = time.monotonic()

    async def stats(self) -> dict[str, Any]:
        """``{"live": n}`` as the engine itself counts; zero while there is none."""
        try:
            return await self._process.stats() if self._process else {"live": 0}
        except ChannelClosed:
            return {"live": 0}

    async def metrics(self) -> str:
        """The engine's own metrics as Prometheus text; empty where it keeps none, or is too busy to tell."""
        try:
            async with asyncio.timeout(METRICS_TIMEOUT_S):
                return await self._process.metrics() if self._process else ""
        except (ChannelClosed, TimeoutError):
            return ""

    def _failure(self, error: RemoteError, process: EngineProcess) -> EngineError:
        """What the engine raised, as itself; anything else is a bug in it, and its log has the traceback."""
        if error.fields.get("lost"):
            self._abandon(process)
            return EngineLost()
        if "code" in error.fields:
            return EngineError(TABLE[error.fields["code"]], error.message)
        return EngineError(INTERNAL, f"Internal server error: {error.message or error.name}")


def _continued(request: Generate, span: Span) -> Generate:
    """``request`` with the headers by which an engine continues the trace, if they leave this process."""
    headers = dict(span.headers)
    return msgspec.structs.replace(request, trace_headers=headers) if headers else request


__all__ = ["EngineClient"]
