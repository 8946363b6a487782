"""Behind a proxy: who asks, how and for which hostname, as the proxy says; from trusted addresses alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from runtime.errors import UserError
from runtime.supervisor.http.asgi import Application, Headers, Receive, Scope, Send
from runtime.supervisor.http.protocol import forwarded


class TrustedProxies:
    """``X-Forwarded-For`` and ``-Proto`` (uvicorn's part) and ``-Host``. Raises UserError for what is no network."""

    def __init__(self, app: Application, trusted: Sequence[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(text) for text in trusted]
        except ValueError as error:
            remedy = "Write:  --trusted-proxy 10.0.0.0/8"
            raise UserError(str(error), where="--trusted-proxy", remedy=remedy) from None
        self._app = forwarded(app, trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._trusts(scope["client"]):
            scope = {**scope, "headers": _with_host(scope["headers"])}
        await self._app(scope, receive, send)

    def _trusts(self, client: tuple[str, int] | None) -> bool:
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _with_host(headers: Headers) -> Headers:
    forwarded_host = next((value.split(b",")[0].strip() for name, value in headers if name == b"x-forwarded-host"), b"")
    return [(name, forwarded_host if forwarded_host and name == b"host" else value) for name, value in headers]


__all__ = ["TrustedProxies"]
