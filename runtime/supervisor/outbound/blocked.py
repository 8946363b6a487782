"""Of code that reaches nothing: every fetch fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from runtime.isolate.boot import Resolve
from runtime.supervisor.outbound import AddressInfo, FetchError, Outbound, OutboundAnswer
from runtime.supervisor.outbound.bodies import close
from runtime.supervisor.outbound.rules import RawHeaders, parse

_WHY = "this worker reaches no network; whoever loads it decides (globalOutbound)"


class Blocked(Outbound):
    async def fetch(
        self,
        method: str,
        url: str,
        headers: RawHeaders,
        body: bytes | AsyncIterator[bytes] | None = None,
        redirect: str = "follow",
        timeout: float | None = None,  # noqa: ASYNC109 - as of Outbound
        hop: RawHeaders = (),  # type: ignore[assignment]
    ) -> OutboundAnswer:
        """Raises FetchError."""
        await close(body)
        raise FetchError(parse(url).host, _WHY)

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError."""
        raise PermissionError(_WHY)

    async def resolve(self, asked: Resolve) -> list[AddressInfo]:
        """Raises OSError."""
        raise PermissionError(_WHY)


__all__ = ["Blocked"]
