"""The versions of a worker in ``pilot dev``, where others may be told what becomes of its requests."""

from __future__ import annotations

from typing import NamedTuple

from runtime.errors import UserError
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.http.dispatch import Fetcher, Versions
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.traces.traces import Traces


class Traced(NamedTuple):
    """One of them."""

    worker: str
    version: Fetcher
    traces: Traces

    async def fetch(self, exchange: Exchange) -> None:
        await self.traces.request(self.worker, exchange, self.version.fetch(exchange))


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

    ready = None  # there is more to each request than its version

    async def current(self, headers: Headers) -> Traced:
        return Traced(self._worker, await self._versions.current(headers), self._traces)


__all__ = ["TracedVersions"]
