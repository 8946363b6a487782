"""A request's way to its worker: by hostname, by a path prefix for a bare address, else the host's own routes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn

from runtime.errors import RequestError
from runtime.host.fleet import Fleet
from runtime.host.http.hostnames import Hostnames
from runtime.host.worker import Worker
from runtime.supervisor.http import prefix
from runtime.supervisor.http.admission import hostname
from runtime.supervisor.http.asgi import Application, Headers, Receive, Scope, Send
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.http.prefix import WORKER_PREFIX

_MAX_KNOWN_BYTES = 300  # of a Host header: a hostname has 253 at most


class NotFound:
    """What ``Dispatch`` serves where no worker is meant."""

    broken, version = None, 0
    body_limit = 1 << 20

    ready = None  # there is more to each request than its version

    async def current(self, headers: Headers) -> NoReturn:
        raise RequestError(404, "no worker answers here", remedy=f"Its own hostname, or:  {WORKER_PREFIX}NAME/")


class HostRouter:
    """The ASGI application of a host. ``hostnames``: which are its own."""

    def __init__(
        self, fleet: Fleet, app: Application, hostnames: Hostnames, dispatch: Callable[[Worker], Dispatch]
    ) -> None:
        self._fleet, self._app, self._hostnames, self._new = fleet, app, hostnames, dispatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        worker = self._by_hostname(scope)
        name = prefix.name_in(scope) if worker is None else None
        if name is not None and (worker := self._fleet.workers.get(name)) is not None:
            scope = prefix.below(scope, name)
        if worker is None:
            return await self._app(scope, receive, send)
        await prefix.serve(self._dispatch(worker), scope, receive, send)

    def _by_hostname(self, scope: Scope) -> Worker | None:
        named = next((value for name, value in scope["headers"] if name == b"host"), b"")
        host = _parsed(named) if len(named) <= _MAX_KNOWN_BYTES else ""
        if self._hostnames.has(host):
            return None
        if (name := self._hostnames.worker(host)) is not None:
            return self._fleet.workers.get(name)
        return next((worker for worker in self._fleet.workers.values() if host in worker.domains), None)

    def _dispatch(self, worker: Worker) -> Dispatch:
        if worker.dispatch is None:
            worker.dispatch = self._new(worker)
        return worker.dispatch


@lru_cache(1024)  # the same few, again and again
def _parsed(host: bytes) -> str:
    return hostname(host.decode("latin-1"))


__all__ = ["WORKER_PREFIX", "HostRouter", "NotFound"]
