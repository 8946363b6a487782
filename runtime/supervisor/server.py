"""`pilot dev`: the supervisor's life, from bound socket to last child gone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn

from bindings.base import House
from runtime import config as configuration
from runtime.config import Config
from runtime.errors import UserError
from runtime.supervisor.app import App
from runtime.supervisor.dispatch import Dispatch
from runtime.supervisor.isolates import make_spawner
from runtime.supervisor.metrics import Requests, metrics_routes
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.outbound import Outbound
from runtime.supervisor.process import Parts
from runtime.supervisor.protocol import Protocol
from runtime.supervisor.reload import Deployments, changes, products
from runtime.supervisor.tracing import make_tracer


@dataclass(frozen=True)
class Options:
    """The command line of ``pilot dev``; None means: as the configuration says."""

    config: Path | None = None
    environment: str | None = None
    host: str | None = None
    port: int | None = None
    engine: str | None = None
    inline: bool = False
    drain: float | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def read(self) -> Config:
        return configuration.load(self.config, environment=self.environment, variables=self.variables)


def bind(host: str, port: int) -> socket.socket:
    """A listening address of our own. Raises ``UserError`` when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        remedy = f"Choose another:  pilot dev --port {port + 1}   (0 picks a free one)" if port else ""
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}", where="--port", remedy=remedy) from None
    return sock


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The supervisor has its own: it has children to end."""
        yield


class Supervisor:
    """Owns the socket, the stores, the routes and the children. Runs no user code."""

    def __init__(self, options: Options, observer: Observer) -> None:
        self._options, self._observer = options, observer
        self._config = options.read()
        host, port = options.host or self._config.dev.ip or "127.0.0.1", options.port
        port = port if port is not None else (self._config.dev.port if self._config.dev.port is not None else 8787)
        self._socket = bind("127.0.0.1" if host == "localhost" else host, port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        root = self._config.root
        self._drain = self._config.pilot.drain if options.drain is None else options.drain
        self._stopped, self._status = 0.0, 0
        pilot = self._config.pilot
        choices = {
            "engine": options.engine, "load_timeout": pilot.load_timeout, "engine_metrics": pilot.engine_metrics,
        }  # fmt: skip
        self._house = House(root, root / ".pilot" / "state", False, observer, url=self.url, options=choices)
        self._outbound = Outbound()
        self._tracer = make_tracer(self._config, observer.warn)
        self._spawner = make_spawner(root, inline=options.inline)
        parts = Parts(self._spawner, self._outbound, observer.worker_output)
        self._deployments = Deployments(self._config, options.read, self._house, parts, observer)

    async def run(self) -> int:
        """Serve until told to stop, then leave nothing behind. Returns the exit code."""
        await self._spawner.start()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._spawner.aclose)
            stack.push_async_callback(self._tracer.aclose)
            stack.push_async_callback(self._outbound.aclose)
            for product in products():
                await product.start(self._house)
                stack.push_async_callback(product.stop, self._house)
            stack.push_async_callback(self._end_deployments)
            await self._serve()
        return self._status

    async def _serve(self) -> None:
        server = self._server()
        self._handle_signals(server)
        tasks = [asyncio.create_task(self._open(server)), asyncio.create_task(self._follow())]
        try:
            await server.serve(sockets=[self._socket])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_deployments(self) -> None:
        """Within what is left of the time to drain."""
        left = self._stopped + self._drain - time.monotonic()
        await self._deployments.aclose(max(0.0, left))

    def _server(self) -> _Server:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # the observer says what there is to say
        requests = Requests()
        dispatch = Dispatch(self._deployments, self._observer, requests, self._tracer)
        routes = [*metrics_routes(self._house, products(), requests)]
        routes += [route for product in products() for route in product.routes(self._house)]
        return _Server(uvicorn.Config(
            App(dispatch, routes, self._config.pilot.body_limit), http=Protocol, ws="none", lifespan="off",
            log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=math.ceil(self._drain),
        ))  # fmt: skip

    async def _open(self, server: _Server) -> None:
        """The first version. The socket already accepts: a request that comes early waits for it."""
        try:
            await self._deployments.open()
            while not server.started:
                await asyncio.sleep(0.005)
            self._show()
            gc.collect()
            gc.freeze()  # what exists now stays: later collections need not look at it
            gc.set_threshold(20_000, 50, 100)  # a message makes containers: 700 of them are a few milliseconds' worth
        except Exception as error:
            self._observer.fault(error)
            self._status, server.should_exit = 1, True

    async def _follow(self) -> None:
        async for files in changes(lambda: self._deployments.config):
            await self._deployments.reload(files)

    def _show(self) -> None:
        config = self._deployments.config
        rows = [(binding.name, *binding.describe()) for binding in self._deployments.bindings]
        remarks = [remark for product in products() for remark in product.remarks(self._house)]
        self._observer.banner(
            version=version("pilotlight"), url=self.url, name=config.name,
            config_path=_near(config.path or config.main), bindings=rows, engine_lines=remarks,
            warnings=config.warnings,
        )  # fmt: skip
        self._observer.ready(self.url)
        if self._deployments.broken is not None:
            self._observer.warn("every request answers 500 until the error above is mended and saved")

    def _handle_signals(self, server: _Server) -> None:
        loop = asyncio.get_running_loop()

        def stop(name: str) -> None:
            if server.should_exit:
                os._exit(130)  # every child's socket closes with us, and that ends it
            self._observer.stopping(name)
            self._stopped, server.should_exit = time.monotonic(), True

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number.name)


def _near(path: Path) -> str:
    """A path as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def dev(options: Options, observer: Observer) -> None:
    """Blocks until stopped. Raises ``UserError`` when it cannot start."""
    run: Callable[..., Any] = asyncio.run
    if sys.platform != "win32":
        import uvloop

        run = uvloop.run
    supervisor = Supervisor(options, observer)
    try:
        status = run(supervisor.run())
    finally:
        observer.close()
    if status:
        sys.exit(status)
