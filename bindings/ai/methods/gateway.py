"""``env.AI.gateway(id)`` and the REST routes of a gateway's logs: reading, patching, and the universal ``run``.

The universal endpoint takes a list of requests, each for a provider, and answers with the first that succeeds. A
request for a provider that is not here (``bindings.ai.methods.providers``) fails, and the next is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bindings.ai.error_table import NOT_FOUND
from bindings.ai.errors import AiError, bad_input
from bindings.ai.gateway import options as gateway_options
from bindings.ai.gateway.log import PROVIDER, patch
from bindings.ai.gateway.store import GatewayStore
from bindings.ai.methods import providers as gateway_providers
from bindings.ai.methods.providers import COMPAT, Answered
from bindings.ai.service import AIService
from bindings.base import CallError, HostStream
from bindings.sqlite import StoreError

UNIVERSAL = "universal"
MOST = 10  # requests of one universal run


class GatewayMethods:
    """``url``: where this machine answers."""

    def __init__(self, service: AIService, url: str = "") -> None:
        self._service, self._url = service, url

    def models(self) -> list[str]:
        """The ids of the models behind it."""
        return [model.id for model in self._service.catalog.models() if not model.retired]

    async def read_log(self, request_id: str, gateway: Any, log: Any) -> dict[str, Any]:
        """Raises CallError (AiGatewayLogNotFound, AiGatewayInternalError)."""
        try:
            found = await self._store().read_log(str(gateway), str(log))
        except StoreError:
            raise unreadable() from None
        if found is None:
            raise _not_found(gateway, log)
        return found

    async def patch_log(self, request_id: str, gateway: Any, log: Any, changes: Any) -> None:
        """The same errors; AiError 5006 for what cannot be changed."""
        checked = patch(changes)
        try:
            known = await self._store().patch_log(str(gateway), str(log), checked)
        except StoreError:
            raise unreadable() from None
        if not known:
            raise _not_found(gateway, log)

    async def run(self, request_id: str, gateway: Any, requests: Any, own: Any = None, headers: Any = None) -> Any:
        """The answer of the first request that succeeds, or the last one's error: AiError.

        ``own`` and ``headers`` say what ``options.gateway`` does, for all of them. ``{"result", "headers"}``,
        where the result is what the provider answers, Workers AI in REST's envelope; or a stream.
        """
        shared = {**_named(headers), **(own if isinstance(own, dict) else {}), "id": gateway}
        requests = requests if isinstance(requests, list) else [requests]
        if not 1 <= len(requests) <= MOST:
            raise bad_input(f"a universal request is 1 to {MOST} requests")
        for step, request in enumerate(requests):
            try:
                answered = await self._step(shared, request, request_id)
            except AiError as error:
                error.headers = {**error.headers, "cf-aig-step": str(step)}
                if step == len(requests) - 1:
                    raise
            else:
                return _handed_over(answered, step)
        raise AssertionError("unreachable")

    async def url(self, request_id: str, gateway: Any, provider: Any = None) -> str:
        """Where ``provider`` answers behind this gateway, or its universal endpoint, which ends in a slash.

        Raises CallError for another provider than Workers AI.
        """
        place = "" if provider in (None, UNIVERSAL) else provider
        if place not in ("", PROVIDER, COMPAT):
            text = f"getUrl: the only provider served here is {PROVIDER!r}, not {provider!r:.60}"
            raise CallError("AiGatewayInternalError", text, status=400)
        return f"{self._url}/client/v4/accounts/local/ai-gateway/gateways/{quote(str(gateway), safe='')}/{place}"

    async def _step(self, shared: dict[str, Any], request: Any, request_id: str) -> Answered:
        headers = request.get("headers") if isinstance(request, dict) else None
        options = {"gateway": {**_named(headers), **shared}}
        return await gateway_providers.ask(self._service, request, options, request_id)

    def _store(self) -> GatewayStore:
        if self._service.gateways is None:
            raise unreadable()
        return self._service.gateways.store


def _named(headers: Any) -> dict[str, Any]:
    """What ``cf-aig-*`` headers of a request say; its others, credentials among them, are not read."""
    found = gateway_options.from_headers(gateway_options.encoded(headers)) if isinstance(headers, Mapping) else None
    return found or {}


def _handed_over(answered: Answered, step: int) -> Any:
    answer = answered.answer
    headers = {**answer.headers, "cf-aig-step": str(step)}
    if answer.stream is not None:
        return HostStream(answer.stream, {"headers": headers})
    envelope = {"result": answer.json, "success": True, "errors": [], "messages": []}
    return {"result": answer.json if answered.bare else envelope, "headers": headers}


def unreadable() -> CallError:
    return CallError("AiGatewayInternalError", "The gateway's logs cannot be read or written", status=500)


def _not_found(gateway: Any, log: Any) -> CallError:
    text = NOT_FOUND.describe(gateway=str(gateway)[:64], log=str(log)[:64])
    return CallError("AiGatewayLogNotFound", text, status=NOT_FOUND.status)


__all__ = ["GatewayMethods"]
