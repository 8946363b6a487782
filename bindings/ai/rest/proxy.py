"""``POST …/ai/run/proxy``: the wire of Workers AI's own binding, by which a local Wrangler's ``env.AI`` speaks to us.

Every request of the binding (contract §3.1) arrives here; the header ``X-Forwarded`` has the URL that was meant,
``https://workers-binding.ai/run?version=3``, and its path names the operation. ``run`` gives the bare result under
exactly ``application/json``, and its errors are ``{internalCode, message, name, description}``; the other operations
answer in REST's envelope.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bindings.ai import error_table, errors
from bindings.ai.answers.answer import RunAnswer
from bindings.ai.catalog import search as catalog_search
from bindings.ai.errors import AiError, bad_input
from bindings.ai.gateway import options as gateway_options
from bindings.ai.http.auth import AI, Auth, decoded, encoded, json_object, read, succeeded
from bindings.ai.inputs.checks import mismatch
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.methods.markdown import MarkdownMethods
from bindings.ai.rest.gateway import call_failed, handed_over
from bindings.ai.service import AIService
from bindings.base import CallError, Route
from runtime.web import URL, Request, Response

OLD = "2"  # @cloudflare/ai 1.1.0, which takes JSON in gzip only
VERSIONS = ("3", OLD, "")
OF_THE_CALL = ("version", "userInputs", "body")  # what in a query is no option


class Proxy:
    """The routes. An operation is a pattern of its path and a handler ``(request, url, *the pattern's groups)``."""

    def __init__(self, service: AIService, gate: Auth, gateways: GatewayMethods) -> None:
        self._service, self._gate, self._gateways = service, gate, gateways
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
        return [route for slash in ("", "/") for route in self._gate.routes(f"{AI}/run/proxy{slash}", None, **methods)]

    async def answer(self, request: Request, request_id: str, account: str) -> Response:
        url = _meant(request)
        for pattern, operation in self._operations:
            if found := re.fullmatch(pattern + "/?", url.pathname):
                try:
                    return await operation(request, request_id, url, *found.groups())
                except CallError as error:
                    return call_failed(error)
        raise errors.no_route(url.pathname)

    async def _run(self, request: Request, request_id: str, url: URL) -> Response:
        try:
            version = url.search_params.get("version") or ""
            if version not in VERSIONS:
                raise AiError(error_table.OLD_SDK, error_table.OLD_SDK.describe(version=repr(version[:20])))
            model = self._model(request)
            inputs, options = await self._asked(request, url, model)
            options = gateway_options.joined(options, request.headers.raw())
            answer = await self._service.run(model, inputs, options, request_id=request_id)
            return _bare(answer, zipped=version == OLD)
        except AiError as refused:
            return encoded(refused.binding(), refused.status, {"cf-ai-req-id": request_id, **refused.headers})

    def _model(self, request: Request) -> str:
        """A prefix, which the binding's option of that name puts before a colon, says nothing here."""
        given = request.headers.get("cf-consn-model-id")
        if not given:
            raise _missing("cf-consn-model-id")
        _, colon, rest = given.partition(":")
        return rest if colon and rest.startswith("@") else given

    async def _asked(self, request: Request, url: URL, model: str) -> tuple[Any, dict[str, Any]]:
        """(inputs, options): both in the body; or, where the body is a file, in the query."""
        options = {name: value for name, value in url.search_params.items() if name not in OF_THE_CALL}
        if (others := url.search_params.get("userInputs")) is not None:
            return self._file(model, await read(request), others), options
        body = await json_object(request)
        own = body.get("options")
        if not isinstance(own, dict | None):
            raise bad_input(mismatch("/options", own, "object"))
        return body.get("inputs"), {**options, **(own or {})}

    def _file(self, model: str, content: bytes, others: str) -> Any:
        """The binding does not say under which name the file was given: the model's task does."""
        inputs = decoded(others.encode())
        if not isinstance(inputs, dict):
            raise bad_input(mismatch("/userInputs", inputs, "object"))
        heard = self._service.catalog.model(model).task == "Automatic Speech Recognition"
        return {**inputs, "audio" if heard else "image": content}

    async def _models(self, request: Request, request_id: str, url: URL) -> Response:
        page = catalog_search.search(self._service.catalog, dict(url.search_params.items()))
        return succeeded(page.items, result_info=page.info)

    async def _transform(self, request: Request, request_id: str, url: URL) -> Response:
        body = await json_object(request)
        options = body.get("options")
        conversion = options.get("conversionOptions") if isinstance(options, dict) else None
        return succeeded(await self._markdown.transform(request_id, body.get("files"), conversion))

    async def _supported(self, request: Request, request_id: str, url: URL) -> Response:
        return succeeded(await self._markdown.supported(request_id))

    async def _universal(self, request: Request, request_id: str, url: URL, gateway: str) -> Response:
        requests, own = decoded(await read(request)), dict(request.headers.items())
        return handed_over(await self._gateways.run(request_id, gateway, requests, headers=own))

    async def _log(self, request: Request, request_id: str, url: URL, gateway: str, log: str) -> Response:
        if request.method != "PATCH":
            return succeeded(await self._gateways.read_log(request_id, gateway, log))
        await self._gateways.patch_log(request_id, gateway, log, decoded(await read(request)))
        return succeeded({})

    async def _url(self, request: Request, request_id: str, url: URL, gateway: str, provider: str) -> Response:
        return succeeded({"url": await self._gateways.url(request_id, gateway, provider)})


def _meant(request: Request) -> URL:
    given = request.headers.get("x-forwarded")
    if not given:
        raise _missing("X-Forwarded")
    try:
        return URL(given)
    except TypeError as error:
        raise bad_input(f"X-Forwarded: {error}") from None


def _missing(header: str) -> AiError:
    return errors.missing(header)


def _bare(answer: RunAnswer, *, zipped: bool) -> Response:
    if answer.stream is not None:
        return Response(answer.stream, headers=answer.headers)
    if not zipped:
        return encoded(answer.json, headers=answer.headers)
    content = gzip.compress(msgspec.json.encode(answer.json))
    return Response(content, headers={"content-type": "application/json", **answer.headers})


__all__ = ["Proxy"]
