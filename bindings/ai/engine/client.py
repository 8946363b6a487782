"""An engine as the supervisor sees it: the same ``generate``, while a process behind it comes and goes (``life``).

The way of a token, from ``process``: ``generate`` returns a ``DeltaStream`` (``delta_stream``, next), which makes each
list of the ``RemoteStream`` a ``Delta``. If a slow reader has left more than ``COALESCE_ABOVE`` waiting, it makes one
of them. Closing it drops the remote stream, which aborts the request. The requests inside a process that dies get
``EngineLost``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from bindings.ai.engine import tasks
from bindings.ai.engine.delta_stream import DeltaStream
from bindings.ai.engine.life import EngineLife
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineError, EngineInfo, EngineLost, Generate
from bindings.ai.error_table import INTERNAL, TABLE
from runtime import VERSION
from runtime.tracing import NO_SPAN, Span, current
from runtime.wire import ChannelClosed, RemoteError

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
        return DeltaStream(self, request, request_id, current.get())

    async def perform(self, task: tasks.Task, request_id: str) -> Any:
        """The answer to any task but text generation (``bindings.ai.engine.tasks``). Raises EngineError."""
        process = await self.serving()
        with self._in_hand(process):
            return msgspec.convert(await process.perform(task, request_id), tasks.ANSWER_TYPES[type(task)])

    # bindings.ai.engine.delta_stream.Asked

    def span_below(self, parent: Span) -> Span:
        """The engine's part of a trace: one for each replica that is asked, the one that is lost among them."""
        if parent is NO_SPAN:
            return NO_SPAN
        facts = {"pilot.replica": self.replica, "pilot.node": self.room.node or None}
        return parent.child(f"engine {self.name}", "client", facts)

    def taken(self) -> None:
        self.live += 1

    def returned(self, process: EngineProcess | None = None) -> None:
        self.live -= 1
        self.used_at = time.monotonic()

    def translated(self, error: BaseException, process: EngineProcess) -> BaseException:
        """What became of a request in the process, as ``EngineError``; anything else as it is."""
        if isinstance(error, RemoteError):
            return self._failure(error, process)
        if isinstance(error, ChannelClosed):
            self._lost(process)
            return EngineLost()
        return error

    @contextmanager
    def _in_hand(self, process: EngineProcess) -> Iterator[None]:
        """A request is in the process. Raises EngineError."""
        self.taken()
        span, failure = self.span_below(current.get()), None
        try:
            yield
        except BaseException as error:
            failure = self.translated(error, process)
            raise failure from None
        finally:
            span.end(failure)
            self.returned(process)

    async def lend(self) -> dict[str, Any]:
        """Where another front asks the process, as ``Listening`` says it; it is in use until ``given_back`` is called.
        Raises EngineError."""
        process = await self.serving()
        self.taken()
        self.lent += 1
        try:
            return await process.listen_here(VERSION)
        except BaseException as error:
            self.given_back()
            raise (EngineLost() if isinstance(error, ChannelClosed) else error) from None

    def given_back(self) -> None:
        self.lent -= 1
        self.returned()

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


__all__ = ["EngineClient"]
