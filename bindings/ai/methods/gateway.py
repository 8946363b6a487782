"""``env.AI.gateway(id)``, the host's half, in the supervisor: a gateway's logs, its address, and the universal ``run``.

The worker's half, which makes the calls, is ``bindings.ai.worker.gateway``; over HTTP, ``bindings.ai.rest.gateway``
makes them. The universal endpoint takes a list of requests, each for a provider, and answers with the first that
succeeds. A request for a provider that is not here (``bindings.ai.methods.providers``) fails, and the next is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from bindings.ai.error_table import NOT_FOUND
from bindings.ai.errors import ModelError, bad_input
from bindings.ai.gateway.log import PROVIDER, parse_patch
from bindings.ai.gateway.options import encode_headers, gateway_from_headers
from bindings.ai.gateway.store import GatewayStore
from bindings.ai.methods import providers
from bindings.ai.methods.providers import COMPAT, ProviderAnswer
from bindings.ai.methods.result import CallResult, call_result
from bindings.ai.service import AIService
from bindings.base import CallError, HostStream
from bindings.sqlite import StoreError
from runtime.api import envelope

UNIVERSAL = "universal"
MAX_STEPS = 10  # requests of one universal run


class GatewayMethods:
    """``url``: where this machine answers."""

    def __init__(self, service: AIService, url: str = "") -> None:
        self._service, self._url = service, url

    def models(self) -> list[str]:
        """The ids of the models behind it."""
        return [model.id for model in self._service.catalog.models() if not model.retired]

    async def read_log(self, request_id: str, gateway: object, log: object) -> dict[str, Any]:
        """Raises CallError (AiGatewayLogNotFound, AiGatewayInternalError)."""
        try:
            content = await self._store().read_log(str(gateway), str(log))
        except StoreError:
            raise unreadable() from None
        if content is None:
            raise _not_found(gateway, log)
        return content

    async def patch_log(self, request_id: str, gateway: object, log: object, changes: object) -> None:
        """The same errors; ModelError 5006 for what cannot be changed."""
        patch = parse_patch(changes)
        try:
            exists = await self._store().patch_log(str(gateway), str(log), patch)
        except StoreError:
            raise unreadable() from None
        if not exists:
            raise _not_found(gateway, log)

    async def run(
        self, request_id: str, gateway: object, requests: object, options: object = None, headers: object = None
    ) -> CallResult | HostStream:
        """The answer of the first request that succeeds, or the last one's error: ModelError.

        ``options`` and ``headers`` say what ``options.gateway`` of a ``run`` does, for all of the requests.
        """
        shared = {**_gateway_headers(headers), **(options if isinstance(options, dict) else {}), "id": gateway}
        steps = requests if isinstance(requests, list) else [requests]
        if not 1 <= len(steps) <= MAX_STEPS:
            raise bad_input(f"a universal request is 1 to {MAX_STEPS} requests")
        for number, step in enumerate(steps):
            try:
                answer = await self._step(shared, step, request_id)
            except ModelError as error:
                error.headers = {**error.headers, "cf-aig-step": str(number)}
                if number == len(steps) - 1:
                    raise
            else:
                return _result(answer, number)
        raise AssertionError("unreachable")

    async def url(self, request_id: str, gateway: object, provider: object = None) -> str:
        """Where ``provider`` answers behind this gateway, or its universal endpoint, which ends in a slash.

        Raises CallError for another provider than Workers AI.
        """
        place = "" if provider in (None, UNIVERSAL) else provider
        if place not in ("", PROVIDER, COMPAT):
            text = f"getUrl: the only provider served here is {PROVIDER!r}, not {provider!r:.60}"
            raise CallError("AiGatewayInternalError", text, status=400)
        return f"{self._url}/client/v4/accounts/local/ai-gateway/gateways/{quote(str(gateway), safe='')}/{place}"

    async def _step(self, shared: dict[str, Any], step: object, request_id: str) -> ProviderAnswer:
        headers = step.get("headers") if isinstance(step, dict) else None
        options = {"gateway": {**_gateway_headers(headers), **shared}}
        return await providers.ask(self._service, step, options, request_id)

    def _store(self) -> GatewayStore:
        if self._service.gateways is None:
            raise unreadable()
        return self._service.gateways.store


def _gateway_headers(headers: object) -> dict[str, Any]:
    """``options.gateway`` as ``cf-aig-*`` headers say it; the others, credentials among them, are not read."""
    if not isinstance(headers, Mapping):
        return {}
    return gateway_from_headers(encode_headers(headers)) or {}


def _result(answered: ProviderAnswer, step: int) -> CallResult | HostStream:
    """What the provider answers: Workers AI in REST's envelope."""
    answer = answered.answer
    body = answer.json if answered.bare or answer.stream else envelope.success(answer.json)
    return call_result(replace(answer, headers={**answer.headers, "cf-aig-step": str(step)}, json=body))


def unreadable() -> CallError:
    return CallError("AiGatewayInternalError", "The gateway's logs cannot be read or written", status=500)


def _not_found(gateway: object, log: object) -> CallError:
    text = NOT_FOUND.describe(gateway=str(gateway)[:64], log=str(log)[:64])
    return CallError("AiGatewayLogNotFound", text, status=NOT_FOUND.status)


__all__ = ["GatewayMethods"]
