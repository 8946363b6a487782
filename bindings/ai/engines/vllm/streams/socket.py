"""The socket on which the model's process tells its steps, read in the turn of the loop that hears of it.

vLLM awaits each of its messages: pyzmq makes a future and asks the socket again and again, and two tasks and a queue
pass the message on. Here one callback reads what there is. What ``take`` has no use for is for vLLM's own task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import EngineCoreClient, Frames, Socket

Take = Callable[[Frames], bool]
"""False: the message is for vLLM."""


class StepSocket:
    """In the place of ``socket``'s own ``recv_multipart`` and ``close``."""

    def __init__(self, socket: Socket, take: Take) -> None:
        zmq: Any = import_module("zmq")
        self._again, self._events = zmq.Again, int(zmq.EVENTS)
        self._dont_wait, self._incoming = int(zmq.DONTWAIT), int(zmq.POLLIN)
        self._socket: Any = zmq.Socket.shadow(socket.underlying)  # the same without futures
        self._close, self._take = socket.close, take
        self._loop, self._number = asyncio.get_running_loop(), int(socket.FD)
        self._kept: deque[Frames] = deque()
        self._waiter: asyncio.Future[None] | None = None
        socket.recv_multipart, socket.close = self.recv_multipart, self.close
        self._loop.add_reader(self._number, self._readable)
        self._loop.call_soon(self._readable)  # of what has come before nobody is told

    @classmethod
    def before(cls, core: EngineCoreClient, take: Take) -> StepSocket | None:
        """None where vLLM does more with a message (data parallel), or has begun to wait for one."""
        plain = type(core) is compat.get("AsyncMPClient") and compat.has_attributes(core, "AsyncMPClient")
        if not plain or core.resources.output_queue_task is not None:
            return None
        return cls(core.resources.output_socket, take)

    async def recv_multipart(self, **_: object) -> Frames:
        """The next message for vLLM."""
        while not self._kept:
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._kept.popleft()

    def close(self, linger: int | None = None) -> None:
        self._loop.remove_reader(self._number)
        self._close(linger=linger)

    def _readable(self) -> None:
        """Until there is nothing left, or the next message would not be told of."""
        message = self._message()
        while message is not None:
            if not self._take(message):
                self._keep(message)
            message = self._message() if self._socket.get(self._events) & self._incoming else None

    def _message(self) -> Frames | None:
        try:
            first = self._socket.recv(self._dont_wait, copy=False)
        except self._again:
            return None
        return [first, *self._socket.recv_multipart(copy=False)] if first.more else [first]

    def _keep(self, message: Frames) -> None:
        self._kept.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


__all__ = ["StepSocket", "Take"]
