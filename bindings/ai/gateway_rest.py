"""A gateway over HTTP: its logs, and Workers AI behind it at the address that ``getUrl`` gives.

    …/ai-gateway/gateways/{gateway}/logs/{log}              GET, PATCH
    …/ai-gateway/gateways/{gateway}/workers-ai/{model}      POST, as ai/run; also run/{model}
    …/ai-gateway/gateways/{gateway}/workers-ai/v1/{route}   POST, as ai/v1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.ai import errors
from bindings.ai.gate import ROOT, Gate, Handler, encoded, json_object, succeeded
from bindings.ai.gateway_door import GatewayDoor
from bindings.ai.gateway_log import PROVIDER
from bindings.base import CallError, Route
from runtime.web import URL, Request, Response

GATEWAYS = "/accounts/{account}/ai-gateway/gateways"
GATEWAY = ROOT + GATEWAYS + "/{gateway}"


class GatewayRest:
    """``run`` and ``openai`` (by route: ``chat/completions`` …) are the handlers of the plain REST routes."""

    def __init__(self, door: GatewayDoor, gate: Gate, run: Handler, openai: Mapping[str, Handler]) -> None:
        self._door, self._gate, self._run, self._openai = door, gate, run, openai

    def routes(self) -> list[Route]:
        passing = f"{GATEWAY}/{PROVIDER}/{{path:path}}"
        return [
            *self._gate.routes(GATEWAY + "/logs/{log}", GET=self.read, PATCH=self.patch),
            *self._gate.routes(passing, POST=self.run),
        ]

    async def read(self, request: Request, request_id: str, account: str, gateway: str, log: str) -> Response:
        try:
            return succeeded(await self._door.read_log(request_id, gateway, log))
        except CallError as error:
            return call_failed(error)

    async def patch(self, request: Request, request_id: str, account: str, gateway: str, log: str) -> Response:
        try:
            await self._door.patch_log(request_id, gateway, log, await json_object(request))
            return succeeded({})
        except CallError as error:
            return call_failed(error)

    async def run(self, request: Request, request_id: str, account: str, gateway: str, path: str) -> Response:
        """The request as if the header named the gateway."""
        named = Request(request, headers={**dict(request.headers.items()), "cf-aig-gateway-id": gateway})
        if path.startswith("v1/"):
            if (handler := self._openai.get(path.removeprefix("v1").rstrip("/"))) is None:
                raise errors.no_route(URL(request.url).pathname)
            return await handler(named, request_id, account=account)
        return await self._run(named, request_id, account=account, model=path.removeprefix("run/"))


def call_failed(error: CallError) -> Response:
    told: list[dict[str, Any]] = [{"code": 7002 if error.fields["status"] == 404 else 3043, "message": str(error)}]
    return encoded({"success": False, "errors": told, "messages": [], "result": None}, error.fields["status"])


__all__ = ["GATEWAYS", "GatewayRest", "call_failed"]
