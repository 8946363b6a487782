"""The versions of a worker in ``pilot dev``, where others may be told what becomes of its requests."""

from __future__ import annotations

from typing import NamedTuple

from runtime.errors import UserError
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.http.dispatch import Answered, Fetcher, Ready, Serve, Versions
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.traces.traces import Traces


class Traced(NamedTuple):
    """One of them."""

    worker: str
    version: Fetcher
    traces: Traces

    async def fetch(self, exchange: Exchange) -> None:
        await self.traces.request(self.worker, exchange, self.version.fetch(exchange))


class TracedReady(NamedTuple):
    """The same of one that asks without a task."""

    worker: str
    version: Ready
    traces: Traces

    def ask(self, exchange: Exchange, told: Answered, serve: Serve) -> bool:
        """As ``dispatch.Ready``."""
        return self.traces.ask(self.worker, self.version, exchange, told, serve)


class TracedVersions:
    def __init__(self, worker: str, versions: Versions, traces: Traces) -> None:
        self._worker, self._versions, self._traces = worker, versions, traces

    @property
    def version(self) -> int:
        return self._versions.version

    @property
    def broken(self) -> UserError | None:
        return self._versions.broken

    @property
    def body_limit(self) -> int:
        return self._versions.body_limit

    @property
    def ready(self) -> Ready | None:
        version = self._versions.ready
        return None if version is None else TracedReady(self._worker, version, self._traces)

    async def current(self, headers: Headers) -> Traced:
        return Traced(self._worker, await self._versions.current(headers), self._traces)


__all__ = ["TracedVersions"]
