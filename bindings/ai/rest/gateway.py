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
from typing import Any

import msgspec
from msgspec.structs import replace

from bindings.ai import errors
from bindings.ai.error_table import INTERNAL, NOT_FOUND
from bindings.ai.errors import ModelError
from bindings.ai.gateway.log import PROVIDER
from bindings.ai.http.auth import ROOT, Auth, Handler
from bindings.ai.http.bodies import json_object, read_body
from bindings.ai.http.header_auth import HeaderAuth
from bindings.ai.http.responses import json_response, succeeded
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.methods.result import CallResult
from bindings.ai.openai.text import refused, refused_as_openai
from bindings.ai.rest.unknown import UnknownRest
from bindings.ai.service import new_request_id
from bindings.base import CallError, HostStream, Route
from runtime.web import URL, Request, Response

GATEWAYS = "/accounts/{account}/ai-gateway/gateways"
GATEWAY = ROOT + GATEWAYS + "/{gateway}"
UPSTREAM = "/v1/{account}/{gateway}"


class GatewayRest:
    """``run`` and ``openai`` (by route: ``/chat/completions`` …) are the handlers of the plain REST routes;
    ``serves_v1``: whether ``/v1`` is answered here, and ``unknown`` what of it is nobody's."""

    def __init__(
        self,
        methods: GatewayMethods,
        auth: Auth,
        run: Handler,
        openai: Mapping[str, Handler],
        serves_v1: Callable[[], bool],
        unknown: UnknownRest,
    ) -> None:
        self._methods, self._auth, self._run, self._openai = methods, auth, run, openai
        self._serves_v1, self._unknown = serves_v1, unknown
        self._header_auth = HeaderAuth.of(auth, "cf-aig-authorization", failure=refused_as_openai)

    def routes(self) -> list[Route]:
        logs = self._auth.routes(GATEWAY + "/logs/{log}", GET=self.read, PATCH=self.patch)
        shared = [replace(route, when=self._serves_v1) for route in self._provider_routes(UPSTREAM)]
        return [*logs, *self._provider_routes(GATEWAY), *shared, *self._universal()]

    def _universal(self) -> list[Route]:
        """Two words after ``/v1`` are OpenAI's, too: only the body tells."""
        always = [Route("POST", GATEWAY + slash, self.universal) for slash in ("", "/")]
        return [
            *always,
            *(Route("POST", UPSTREAM + slash, self.universal, self._unknown.serves_all_v1) for slash in ("", "/")),
        ]

    def _provider_routes(self, base: str) -> list[Route]:
        openai = replace(self._auth, failure=refused)
        return [
            *openai.routes(f"{base}/{PROVIDER}/v1/{{path:path}}", POST=self.as_openai),
            *self._auth.routes(f"{base}/{PROVIDER}/{{path:path}}", POST=self.run),
            *openai.routes(f"{base}/compat/models", GET=self.models),
            *openai.routes(f"{base}/compat/{{path:path}}", POST=self.compat),
        ]

    async def read(self, request: Request, request_id: str, account: str, gateway: str, log: str) -> Response:
        try:
            return succeeded(await self._methods.read_log(request_id, gateway, log))
        except CallError as error:
            return call_failed(error)

    async def patch(self, request: Request, request_id: str, account: str, gateway: str, log: str) -> Response:
        try:
            await self._methods.patch_log(request_id, gateway, log, await json_object(request))
            return succeeded({})
        except CallError as error:
            return call_failed(error)

    async def run(self, request: Request, request_id: str, account: str, gateway: str, path: str) -> Response:
        """The request as if the header named the gateway."""
        named = _with_gateway(gateway, request)
        return await self._run(named, request_id, account=account, model=path.removeprefix("run/"))

    async def as_openai(self, request: Request, request_id: str, account: str, gateway: str, path: str) -> Response:
        return await self._as_openai(_with_gateway(gateway, request), request_id, "/" + path, account)

    async def universal(self, request: Request, account: str, gateway: str) -> Response:
        """The answer to the first of a list of requests that succeeds; ``cf-aig-step`` tells which."""
        try:
            steps = _steps(await read_body(request))
        except ModelError as error:
            return refused_as_openai(error, new_request_id())
        if steps is None:
            return await self._unknown.answer(request)
        if not (request.headers.has("authorization") or request.headers.has(self._header_auth.header)):
            headers = {**dict(request.headers.items()), **_authorization(steps)}
            request = Request(request.url, method="POST", headers=headers, cf=request.cf)  # its body has been read

        async def run(request: Request, request_id: str) -> Response:
            answer = await self._methods.run(request_id, gateway, steps, headers=dict(request.headers.items()))
            return result_response(answer)

        return await self._header_auth.guarded(run)(request)

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
        models = [{"id": f"{PROVIDER}/{id}", "object": "model", "owned_by": PROVIDER} for id in self._methods.models()]
        return json_response({"object": "list", "data": models})

    async def _as_openai(self, request: Request, request_id: str, path: str, account: str) -> Response:
        if (handler := self._openai.get(path.rstrip("/"))) is None:
            raise errors.no_route(URL(request.url).pathname)
        return await handler(request, request_id, account=account)


def _with_gateway(gateway: str, request: Request) -> Request:
    return Request(request, headers={**dict(request.headers.items()), "cf-aig-gateway-id": gateway})


def _steps(body: bytes) -> list[Any] | None:
    """The requests of a universal one; None for what is none."""
    try:
        steps = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if isinstance(steps, dict) and "provider" in steps:
        return [steps]
    return steps if isinstance(steps, list) else None


def _authorization(steps: list[Any]) -> dict[str, str]:
    """The ``authorization`` of the first step, if it has one."""
    headers = steps[0].get("headers") if steps and isinstance(steps[0], dict) else None
    lower = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    key = lower.get("authorization")
    return {"authorization": key} if isinstance(key, str) and key.isascii() and key.isprintable() else {}


def result_response(answer: CallResult | HostStream) -> Response:
    """What ``GatewayMethods.run`` answers, over HTTP."""
    if isinstance(answer, HostStream):
        return Response(answer.chunks, headers=answer.meta["headers"])
    return json_response(answer["result"], headers=answer["headers"])


def call_failed(error: CallError) -> Response:
    row = NOT_FOUND if error.fields["status"] == NOT_FOUND.status else INTERNAL
    return json_response(errors.gateway_body({"code": row.code, "message": str(error)}), error.fields["status"])


__all__ = ["GATEWAYS", "GatewayRest", "call_failed", "result_response"]
