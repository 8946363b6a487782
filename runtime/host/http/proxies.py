"""Behind a proxy: who asks, how and for which hostname, as the proxy says; from trusted addresses alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from runtime.errors import UserError
from runtime.supervisor.http.exchange import Receive, Send
from runtime.supervisor.server import forwarded


class Behind:
    """``X-Forwarded-For`` and ``-Proto`` (uvicorn's part) and ``-Host``. Raises UserError for what is no network."""

    def __init__(self, app: Any, trusted: Sequence[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(text) for text in trusted]
        except ValueError as error:
            remedy = "Write:  --trusted-proxy 10.0.0.0/8"
            raise UserError(str(error), where="--trusted-proxy", remedy=remedy) from None
        self._app = forwarded(app, trusted)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if self._trusts(scope.get("client")):
            scope = {**scope, "headers": _with_host(scope["headers"])}
        await self._app(scope, receive, send)

    def _trusts(self, client: Any) -> bool:
        try:
            address = ipaddress.ip_address(client[0])
        except (TypeError, ValueError):
            return False
        return any(address in network for network in self._networks)


def _with_host(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    told = next((value.split(b",")[0].strip() for name, value in headers if name == b"x-forwarded-host"), b"")
    return [(name, told if told and name == b"host" else value) for name, value in headers]


__all__ = ["Behind"]
