"""The REST door: ``POST /client/v4/accounts/{account}/ai/run/{model}`` (contract §1.1, §1.2).

Two layers answer, as they do upstream: the one in front (credentials, routes; ``GatewayError``) and the model
layer (``AiError``), whose every answer carries ``cf-ai-req-id``.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from bindings.ai import checks, errors
from bindings.ai.answer import RunAnswer
from bindings.ai.errors import AiError, GatewayError
from bindings.ai.service import AIService, new_request_id
from bindings.base import Route
from runtime.errors import RequestError
from runtime.web import URL, Headers, Request, Response

ROOT = "/client/v4"
RUN = ROOT + "/accounts/{account}/ai/run"

Handler = Callable[..., Awaitable[Response]]


class Rest:
    """The routes. ``token``: the only one accepted (None: any); ``closed``: none is, nobody has set one."""

    def __init__(self, service: AIService, *, token: str | None = None, closed: bool = False) -> None:
        self._service, self._token, self._closed = service, token, closed

    def routes(self) -> list[Route]:
        """In the order they are to be matched."""
        paths = (RUN, RUN + "/{model:path}")
        served = [Route("POST", path, self.run) for path in paths]
        wrong = [Route("*", path, self.not_post) for path in paths]
        return [*served, *wrong, Route("*", ROOT + "/{path:path}", self.unknown)]

    async def run(self, request: Request, account: str, model: str = "") -> Response:
        """``{"prompt": …}`` for the model in the path, or ``{"model": …, "input": {…}}``."""
        request_id = new_request_id()
        try:
            self._authenticate(request.headers)
            model, inputs, options = _call(model.rstrip("/"), await _body(request), request)
            return _answered(await self._service.run(model, inputs, options, request_id=request_id))
        except GatewayError as refused:
            return _gateway(refused)
        except AiError as refused:
            return _json(refused.envelope(request_id), refused.status, {"cf-ai-req-id": request_id})

    async def not_post(self, request: Request, **path: str) -> Response:
        return self._refuse(request, errors.wrong_method(request.method, "POST"))

    async def unknown(self, request: Request, **path: str) -> Response:
        return self._refuse(request, errors.no_route(URL(request.url).pathname))

    def _refuse(self, request: Request, reason: GatewayError) -> Response:
        """With ``reason``; but who has no credentials is told that first."""
        try:
            self._authenticate(request.headers)
        except GatewayError as refused:
            return _gateway(refused)
        return _gateway(reason)

    def _authenticate(self, headers: Headers) -> None:
        given = credentials(headers)
        if self._closed:
            raise errors.wrong_token()
        # A header is bytes, read as latin-1; the token came from the environment, as UTF-8.
        if self._token is not None and not hmac.compare_digest(given.encode("latin-1"), os.fsencode(self._token)):
            raise errors.wrong_token()


def credentials(headers: Headers) -> str:
    """The token a client sent. Raises GatewayError 9106 when there is none, 6003 when it is malformed."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" \t")  # not of all white space: 0xA0 may be half a letter
        if scheme.lower() != "bearer" or not token or " " in token:
            raise errors.malformed_credentials()
        return token
    key = headers.get("x-auth-key") if headers.get("x-auth-email") else headers.get("x-auth-user-service-key")
    if not key:
        raise errors.no_credentials()
    return key


async def _body(request: Request) -> dict[str, Any]:
    """The body as a JSON object, whatever its content type says."""
    try:
        body = msgspec.json.decode(await request.bytes() or _missing())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.bad_input(f"the body is not valid JSON: {error}") from None
    except RequestError as error:
        raise (errors.too_large() if error.status == 413 else errors.bad_input(error.what)) from None
    if not isinstance(body, dict):
        raise errors.bad_input(checks.mismatch("/", body, "object"))
    return body


def _missing() -> bytes:
    raise errors.missing_body()


def _call(model: str, body: dict[str, Any], request: Request) -> tuple[str, Any, dict[str, Any]]:
    """(model, inputs, options). Options come in the query and, beside the inputs, in the body."""
    options = dict(URL(request.url).search_params.items()) if "?" in request.url else {}
    if isinstance(body.get("options"), dict):
        options |= body["options"]
    if model:
        return model, body, options
    if not isinstance(body.get("model"), str):
        raise errors.bad_input("required properties at '/' are 'model'")
    inputs = body.get("input")
    return body["model"], inputs if isinstance(inputs, dict) else body, options


def _answered(answer: RunAnswer) -> Response:
    if answer.stream is not None:
        return Response(answer.stream, headers=answer.headers)
    return _json({"result": answer.json, "success": True, "errors": [], "messages": []}, 200, answer.headers)


def _gateway(refused: GatewayError) -> Response:
    return _json(refused.body, refused.status, refused.headers)


def _json(body: Any, status: int, headers: Mapping[str, str]) -> Response:
    content = msgspec.json.encode(body)
    return Response(content, status=status, headers={"content-type": "application/json", **headers})


__all__ = ["Rest", "credentials"]
