"""The deltas of one request as whoever answers it reads them, and the short cut past that reader.

The way of a token, from ``client``, ends here. An encoder of ``bindings.ai.answers`` iterates over the ``DeltaStream``
and makes each delta bytes. It may ``attach_sink``: while it has read all there is and waits, the channel gives the
text of each delta straight to the sink, which writes it to the client's socket, and no task is woken. A delta that is
more than text, or that the sink cannot take because the socket is full, wakes the reader as ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from bindings.ai.engine.protocol import Delta
from runtime.tracing import current
from runtime.wire import RemoteStream

Sink = Callable[[str, int], bool]
"""``take(text, tokens)``: False when it cannot be taken now."""


class DeltaOrigin:
    """Where the deltas come from; known once the engine has been asked. ``span``: what asks is a part of it."""

    stream: RemoteStream | None = None

    def __init__(self) -> None:
        self.span = current.get()


class DeltaStream(AsyncGenerator[Delta, None]):
    """``deltas``, which find their ``way`` when they are first read."""

    def __init__(self, deltas: AsyncGenerator[Delta, None], origin: DeltaOrigin) -> None:
        self._deltas, self._origin = deltas, origin

    def attach_sink(self, take: Sink) -> None:
        """From here on plain text goes to ``take`` whenever the reader has nothing else to do."""

        def sink(item: list[Any]) -> bool:
            text, tokens, _, finish_reason, extra = item
            return finish_reason is None and extra is None and take(text, tokens)

        if self._origin.stream is not None:
            self._origin.stream.attach_sink(sink)

    def __aiter__(self) -> AsyncGenerator[Delta, None]:
        return self._deltas  # no layer per delta

    async def asend(self, value: None) -> Delta:
        return await self._deltas.asend(value)

    async def athrow(self, *error: Any) -> Delta:
        return await self._deltas.athrow(*error)

    async def aclose(self) -> None:
        await self._deltas.aclose()


__all__ = ["DeltaOrigin", "DeltaStream", "Sink"]
