"""A gateway over HTTP: its logs, and Workers AI behind it at the address that ``getUrl`` gives.

    …/ai-gateway/gateways/{gateway}/logs/{log}              GET, PATCH
    …/ai-gateway/gateways/{gateway}/workers-ai/{model}      POST, as ai/run; also run/{model}
    …/ai-gateway/gateways/{gateway}/workers-ai/v1/{route}   POST, as ai/v1
    …/ai-gateway/gateways/{gateway}/compat/{route}          POST, the same, with models named "workers-ai/@cf/…"
    …/ai-gateway/gateways/{gateway}/compat/models           GET, their list

    …/ai-gateway/gateways/{gateway}                         POST, the universal endpoint: a list of requests

All but the logs also answer under ``/v1/{account}/{gateway}``, as on gateway.ai.cloudflare.com. A key may come as
``cf-aig-authorization``, and with a universal request as its first step's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from bindings.ai import errors
from bindings.ai.error_table import INTERNAL, NOT_FOUND
from bindings.ai.errors import AiError
from bindings.ai.gateway.log import PROVIDER
from bindings.ai.http.auth import ROOT, Auth, Handler, encoded, json_object, read, succeeded
from bindings.ai.http.keys import Keys
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.openai.text import refused, refused_as_openai
from bindings.ai.rest.unknown import Unknown
from bindings.ai.service import new_request_id
from bindings.base import CallError, HostStream, Route
from runtime.web import URL, Request, Response

GATEWAYS = "/accounts/{account}/ai-gateway/gateways"
GATEWAY = ROOT + GATEWAYS + "/{gateway}"
UPSTREAM = "/v1/{account}/{gateway}"


class GatewayRest:
    """``run`` and ``openai`` (by route: ``/chat/completions`` …) are the handlers of the plain REST routes;
    ``own``: whether ``/v1`` is answered here, and ``unknown`` what of it is nobody's."""

    def __init__(
        self,
        door: GatewayMethods,
        gate: Auth,
        run: Handler,
        openai: Mapping[str, Handler],
        own: Callable[[], bool],
        unknown: Unknown,
    ) -> None:
        self._door, self._gate, self._run, self._openai, self._own = door, gate, run, openai, own
        self._unknown = unknown
        self._keys = Keys.of(gate, "cf-aig-authorization", failure=refused_as_openai)

    def routes(self) -> list[Route]:
        logs = self._gate.routes(GATEWAY + "/logs/{log}", GET=self.read, PATCH=self.patch)
        shared = [replace(route, when=self._own) for route in self._passing(UPSTREAM)]
        return [*logs, *self._passing(GATEWAY), *shared, *self._universal()]

    def _universal(self) -> list[Route]:
        """Two words after ``/v1`` are OpenAI's, too: only the body tells."""
        always = [Route("POST", GATEWAY + slash, self.universal) for slash in ("", "/")]
        return [*always, *(Route("POST", UPSTREAM + slash, self.universal, self._unknown.own) for slash in ("", "/"))]

    def _passing(self, base: str) -> list[Route]:
        openai = replace(self._gate, failure=refused)
        return [
            *openai.routes(f"{base}/{PROVIDER}/v1/{{path:path}}", POST=self.as_openai),
            *self._gate.routes(f"{base}/{PROVIDER}/{{path:path}}", POST=self.run),
            *openai.routes(f"{base}/compat/models", GET=self.models),
            *openai.routes(f"{base}/compat/{{path:path}}", POST=self.compat),
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
        named = _through(gateway, request)
        return await self._run(named, request_id, account=account, model=path.removeprefix("run/"))

    async def as_openai(self, request: Request, request_id: str, account: str, gateway: str, path: str) -> Response:
        return await self._as_openai(_through(gateway, request), request_id, "/" + path, account)

    async def universal(self, request: Request, account: str, gateway: str) -> Response:
        """The first of a list of requests that succeeds. ``cf-aig-step`` tells which."""
        try:
            steps = _steps(await read(request))
        except AiError as error:
            return refused_as_openai(error, new_request_id())
        if steps is None:
            return await self._unknown.answer(request)
        if not (request.headers.has("authorization") or request.headers.has(self._keys.header)):
            headers = {**dict(request.headers.items()), **_key(steps)}
            request = Request(request.url, method="POST", headers=headers)  # its body has been read

        async def run(request: Request, request_id: str) -> Response:
            own = dict(request.headers.items())
            return handed_over(await self._door.run(request_id, gateway, steps, headers=own))

        return await self._keys.guarded(run)(request)

    async def compat(self, request: Request, request_id: str, account: str, gateway: str, path: str) -> Response:
        """One route for all providers upstream: the model's name begins with the provider's."""
        body = await json_object(request)
        if not str(body.get("model")).startswith(PROVIDER + "/"):
            raise errors.bad_input(f"the model must be '{PROVIDER}/' and its id: no other provider is served here")
        content = msgspec.json.encode({**body, "model": body["model"].removeprefix(PROVIDER + "/")})
        headers = {**dict(request.headers.items()), "cf-aig-gateway-id": gateway}
        named = Request(request.url, method="POST", headers=headers, body=content)
        return await self._as_openai(named, request_id, "/" + path, account)

    async def models(self, request: Request, request_id: str, **_: str) -> Response:
        served = [{"id": f"{PROVIDER}/{id}", "object": "model", "owned_by": PROVIDER} for id in self._door.models()]
        return encoded({"object": "list", "data": served})

    async def _as_openai(self, request: Request, request_id: str, path: str, account: str) -> Response:
        if (handler := self._openai.get(path.rstrip("/"))) is None:
            raise errors.no_route(URL(request.url).pathname)
        return await handler(request, request_id, account=account)


def _through(gateway: str, request: Request) -> Request:
    return Request(request, headers={**dict(request.headers.items()), "cf-aig-gateway-id": gateway})


def _steps(body: bytes) -> list[Any] | None:
    """The requests of a universal one; None for what is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if isinstance(found, dict) and "provider" in found:
        return [found]
    return found if isinstance(found, list) else None


def _key(steps: list[Any]) -> dict[str, str]:
    """The ``authorization`` of the first step, if it has one."""
    headers = steps[0].get("headers") if steps and isinstance(steps[0], dict) else None
    given = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    key = given.get("authorization")
    return {"authorization": key} if isinstance(key, str) and key.isascii() and key.isprintable() else {}


def handed_over(answer: Any) -> Response:
    """What ``GatewayDoor.run`` answers."""
    if isinstance(answer, HostStream):
        return Response(answer.chunks, headers=answer.meta["headers"])
    return encoded(answer["result"], headers=answer["headers"])


def call_failed(error: CallError) -> Response:
    row = NOT_FOUND if error.fields["status"] == NOT_FOUND.status else INTERNAL
    told: list[dict[str, Any]] = [{"code": row.code, "message": str(error)}]
    return encoded({"success": False, "errors": told, "messages": [], "result": None}, error.fields["status"])


__all__ = ["GATEWAYS", "GatewayRest", "call_failed", "handed_over"]
