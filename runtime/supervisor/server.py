"""The supervisor's life, from bound socket to last child gone. What it serves, ``dev`` and ``runtime.host`` say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bindings import products
from bindings.base import Event, Product, ProductContext
from bindings.messages import Undelivered
from runtime.config import PilotSettings
from runtime.errors import UserError
from runtime.limits import allow_open_files
from runtime.memory import freeze_heap
from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.client.patience import Patience
from runtime.supervisor.http.protocol import Server, make_server
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.outbound import Allow, Outbound
from runtime.supervisor.processes.spawning import Spawner
from runtime.supervisor.telemetry.metrics import Requests
from runtime.supervisor.telemetry.tracing import Tracer

_QUIET_CLOSE_S = 1.0  # seconds that closing may take without a word


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening address of our own, or ``shared`` with other processes of this user. Raises ``UserError`` when it
    cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind(("127.0.0.1" if host == "localhost" else host, port))
    except OSError as error:
        sock.close()
        remedy = f"Choose another:  --port {port + 1}   (0 picks a free one)" if port else ""
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}", where="--port", remedy=remedy) from None
    return sock


def address(scheme: str, host: str, sock: socket.socket) -> str:
    """The URL of a bound socket."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


def _stopping() -> list[signal.Signals]:
    """Signals that stop the server; ``nohup`` has a closed terminal ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


async def _stopping_too(worker: str, event: Event) -> object:
    raise Undelivered("the server stops")


class Supervisor(ABC):
    """Owns the socket, the stores, the routes and the children. Runs no user code."""

    def __init__(
        self,
        sock: socket.socket,
        context: ProductContext,
        spawner: Spawner,
        observer: Observer,
        tracer: Tracer,
        allow: Allow | None = None,
    ) -> None:
        self.context, self.observer, self.tracer = context, observer, tracer
        self.outbound, self.requests = Outbound(allow=allow), Requests()
        self._socket, self._spawner = sock, spawner
        self._stopped, self._status = 0.0, 0
        self.server: Server | None = None  # once it serves

    @property
    @abstractmethod
    def drain(self) -> float:
        """Seconds that requests have to finish once it is to stop."""

    @abstractmethod
    def application(self) -> Application:
        """The ASGI application."""

    @abstractmethod
    async def open(self) -> None:
        """What must stand before the address is announced. The socket already accepts: early requests wait."""

    @abstractmethod
    def announce(self) -> None:
        """Tell the person, once it serves."""

    @abstractmethod
    async def close(self, left: float) -> None:
        """End every deployment within ``left`` seconds."""

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on while it serves."""
        return []

    def products(self) -> Sequence[type[Product]]:
        """Those that are started here."""
        return products()

    def leave(self) -> None:
        """What must be put right even when it ends at once: nothing, where no terminal was changed."""
        return

    def listening(self) -> dict[str, Any]:
        """Further settings of the HTTP server."""
        return {}

    async def run(self) -> int:
        """Serve until told to stop, then leave nothing behind. Returns the exit code."""
        await self._spawner.start()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._spawner.aclose)
            stack.push_async_callback(self.tracer.aclose)
            stack.push_async_callback(self.outbound.aclose)
            for product in self.products():
                await product.start(self.context)
                stack.push_async_callback(product.stop, self.context)
            stack.push_async_callback(self._close)
            await self._serve()
        return self._status

    async def _serve(self) -> None:
        server = self.server = make_server(self.application(), self.drain, self._patience(), **self.listening())
        self._handle_signals(server)
        tasks = [asyncio.create_task(work) for work in (self._open(server), *self.background())]
        try:
            await server.serve(sockets=[self._socket])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _patience(self) -> Patience:
        """As it was configured at start."""
        pilot = self.context.config.pilot if self.context.config else PilotSettings()
        return Patience(pilot.head_timeout, pilot.body_timeout, pilot.body_rate, pilot.answer_timeout)

    async def _close(self) -> None:
        """Within what is left of the time to drain."""
        self.context.dispatch = _stopping_too
        left = max(0.0, self._stopped + self.drain - time.monotonic())
        closing = asyncio.create_task(self.close(left))
        if not (await asyncio.wait([closing], timeout=_QUIET_CLOSE_S))[0] and left > _QUIET_CLOSE_S:
            self.observer.note(f"work after answers (ctx.wait_until) is awaited for up to {left:.0f} s")
        await closing

    async def _open(self, server: Server) -> None:
        try:
            await self.open()
            while not server.started:
                await asyncio.sleep(0.005)
            self.announce()
            freeze_heap()
        except Exception as error:
            self.observer.fault(error)
            self._status, server.should_exit = 1, True

    def stop(self, why: str) -> None:
        """Take no more, and end once what is in hand is done."""
        if self.server is not None and not self.server.should_exit:
            self.observer.stopping(why, self.server.open_requests(), self.drain)
            self._stopped = time.monotonic()
            self.server.stop(self.drain)

    def _handle_signals(self, server: Server) -> None:
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            if not server.should_exit:
                self.stop(number.name)
            elif number != signal.SIGHUP:  # which a terminal that closes sends, and its shell once more
                self.leave()
                os._exit(130)  # every child's socket closes with us, and that ends it

        for number in _stopping():
            loop.add_signal_handler(number, stop, number)


def run(supervisor: Supervisor) -> None:
    """Blocks until stopped."""
    allow_open_files()
    runner: Callable[..., Any] = asyncio.run
    if sys.platform != "win32":
        import uvloop

        runner = uvloop.run
    try:
        status = runner(supervisor.run())
    finally:
        supervisor.observer.close()
    if status:
        sys.exit(status)
