"""Deltas of one request, as the answers read them: an engine's, or those that a layer passes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol

from bindings.ai.engine.delta_stream import Sink
from bindings.ai.engine.protocol import Delta


class DeltaIterator(Protocol):
    """Deltas to iterate over, and to close."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    def __anext__(self) -> Coroutine[Any, Any, Delta]: ...

    async def aclose(self) -> None: ...


class EngineDeltas(DeltaIterator, Protocol):
    """What an engine's ``generate`` returns, as far as it is used here."""

    def attach_sink(self, take: Sink) -> None: ...


__all__ = ["DeltaIterator", "EngineDeltas"]
