"""``POST …/ai/run/proxy``: the wire of Workers AI's own binding, by which a local Wrangler's ``env.AI`` speaks to us.

Every request of the binding arrives here (docs/reference/workers-ai.md#the-binding); the header ``X-Forwarded`` has
the URL that was meant, ``https://workers-binding.ai/run?version=3``, and its path names the operation. ``run`` gives
the bare result under exactly ``application/json``, and its errors are ``{internalCode, message, name, description}``;
the other operations answer in REST's envelope.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bindings.ai import error_table, errors
from bindings.ai.answers.answer import RunAnswer
from bindings.ai.catalog.search import search_models
from bindings.ai.errors import ModelError, bad_input
from bindings.ai.gateway.options import merge_gateway
from bindings.ai.http.auth import AI_ROOT, Auth
from bindings.ai.http.bodies import decode_json, json_object, read_body
from bindings.ai.http.responses import bare, json_response, succeeded
from bindings.ai.inputs.checks import mismatch
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.methods.markdown import MarkdownMethods
from bindings.ai.rest.gateway import call_failed, result_response
from bindings.ai.service import AIService
from bindings.base import CallError, Route
from runtime.web import URL, Request, Response

GZIP_VERSION = "2"  # @cloudflare/ai 1.1.0, which takes JSON in gzip only
VERSIONS = ("3", GZIP_VERSION, "")
NOT_OPTIONS = ("version", "userInputs", "body")  # of a query


class ProxyRest:
    """The routes. An operation is a pattern of its path and a handler ``(request, url, *the pattern's groups)``."""

    def __init__(self, service: AIService, auth: Auth, gateways: GatewayMethods) -> None:
        self._service, self._auth, self._gateways = service, auth, gateways
        self._markdown = MarkdownMethods(service.markdown)
        self._operations: list[tuple[str, Callable[..., Awaitable[Response]]]] = [
            (r"(?:/ai-gateway)?/run", self._run),
            (r"/ai-api/models/search", self._models),
            (r"/to-everything/markdown/transformer", self._transform),
            (r"/to-everything/markdown/supported", self._supported),
            (r"/ai-gateway/universal/run/([^/]+)", self._universal),
            (r"/ai-gateway/gateways/([^/]+)/logs/([^/]+)", self._log),
            (r"/ai-gateway/gateways/([^/]+)/url/([^/]+)", self._url),
        ]

    def routes(self) -> list[Route]:
        methods = dict.fromkeys(("POST", "GET", "PATCH"), self.answer)
        return [
            route for slash in ("", "/") for route in self._auth.routes(f"{AI_ROOT}/run/proxy{slash}", None, **methods)
        ]

    async def answer(self, request: Request, request_id: str, account: str) -> Response:
        url = _forwarded(request)
        for pattern, operation in self._operations:
            if match := re.fullmatch(pattern + "/?", url.pathname):
                try:
                    return await operation(request, request_id, url, *match.groups())
                except CallError as error:
                    return call_failed(error)
        raise errors.no_route(url.pathname)

    async def _run(self, request: Request, request_id: str, url: URL) -> Response:
        try:
            version = url.search_params.get("version") or ""
            if version not in VERSIONS:
                raise ModelError(error_table.OLD_SDK, error_table.OLD_SDK.describe(version=repr(version[:20])))
            model = self._model(request)
            inputs, options = await self._inputs(request, url, model)
            options = merge_gateway(options, request.headers.raw())
            answer = await self._service.run(model, inputs, options, request_id=request_id)
            return _response(answer, gzipped=version == GZIP_VERSION)
        except ModelError as error:
            return json_response(error.binding(), error.status, {"cf-ai-req-id": request_id, **error.headers})

    def _model(self, request: Request) -> str:
        """A prefix, which the binding's option of that name puts before a colon, says nothing here."""
        model = request.headers.get("cf-consn-model-id")
        if not model:
            raise _missing("cf-consn-model-id")
        _, colon, rest = model.partition(":")
        return rest if colon and rest.startswith("@") else model

    async def _inputs(self, request: Request, url: URL, model: str) -> tuple[Any, dict[str, Any]]:
        """(inputs, options): both in the body; or, where the body is a file, in the query."""
        options = {name: value for name, value in url.search_params.items() if name not in NOT_OPTIONS}
        if (others := url.search_params.get("userInputs")) is not None:
            return self._file_inputs(model, await read_body(request), others), options
        body = await json_object(request)
        in_body = body.get("options")
        if not isinstance(in_body, dict | None):
            raise bad_input(mismatch("/options", in_body, "object"))
        return body.get("inputs"), {**options, **(in_body or {})}

    def _file_inputs(self, model: str, content: bytes, others: str) -> dict[str, Any]:
        """The binding does not say under which name the file was given: the model's task does."""
        inputs = decode_json(others.encode())
        if not isinstance(inputs, dict):
            raise bad_input(mismatch("/userInputs", inputs, "object"))
        is_speech = self._service.catalog.model(model).task == "Automatic Speech Recognition"
        return {**inputs, "audio" if is_speech else "image": content}

    async def _models(self, request: Request, request_id: str, url: URL) -> Response:
        page = search_models(self._service.catalog, dict(url.search_params.items()))
        return succeeded(page.items, result_info=page.info)

    async def _transform(self, request: Request, request_id: str, url: URL) -> Response:
        body = await json_object(request)
        options = body.get("options")
        conversion = options.get("conversionOptions") if isinstance(options, dict) else None
        return succeeded(await self._markdown.transform(request_id, body.get("files"), conversion))

    async def _supported(self, request: Request, request_id: str, url: URL) -> Response:
        return succeeded(await self._markdown.supported(request_id))

    async def _universal(self, request: Request, request_id: str, url: URL, gateway: str) -> Response:
        steps, headers = decode_json(await read_body(request)), dict(request.headers.items())
        return result_response(await self._gateways.run(request_id, gateway, steps, headers=headers))

    async def _log(self, request: Request, request_id: str, url: URL, gateway: str, log: str) -> Response:
        if request.method != "PATCH":
            return succeeded(await self._gateways.read_log(request_id, gateway, log))
        await self._gateways.patch_log(request_id, gateway, log, decode_json(await read_body(request)))
        return succeeded({})

    async def _url(self, request: Request, request_id: str, url: URL, gateway: str, provider: str) -> Response:
        return succeeded({"url": await self._gateways.url(request_id, gateway, provider)})


def _forwarded(request: Request) -> URL:
    address = request.headers.get("x-forwarded")
    if not address:
        raise _missing("X-Forwarded")
    try:
        return URL(address)
    except TypeError as error:
        raise bad_input(f"X-Forwarded: {error}") from None


def _missing(header: str) -> ModelError:
    return errors.missing(header)


def _response(answer: RunAnswer, *, gzipped: bool) -> Response:
    if answer.stream is not None or not gzipped:
        return bare(answer)
    content = gzip.compress(msgspec.json.encode(answer.json))
    return Response(content, headers={"content-type": "application/json", **answer.headers})


__all__ = ["ProxyRest"]
