"""The REST route of a run: ``POST /client/v4/accounts/{account}/ai/run/{model}`` (docs/reference/workers-ai.md#run)."""

from __future__ import annotations

from typing import Any

from bindings.ai import errors
from bindings.ai.answers.answer import RunAnswer
from bindings.ai.gateway.options import merge_gateway
from bindings.ai.http.auth import AI_ROOT, ROOT, Auth
from bindings.ai.http.bodies import json_object
from bindings.ai.http.responses import succeeded
from bindings.ai.inputs.blobs import object_or_file
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import URL, Request, Response

RUN = AI_ROOT + "/run"


class RunRest:
    """``run``, and an answer for every path that nobody serves: its routes come last."""

    def __init__(self, service: AIService, auth: Auth) -> None:
        self._service, self._auth = service, auth

    def routes(self) -> list[Route]:
        """In the order they are to be matched."""
        served = [route for path in (RUN, RUN + "/{model:path}") for route in self._auth.routes(path, POST=self.run)]
        return [*served, Route("*", ROOT + "/{path:path}", self._auth.guarded(self.unknown))]

    async def run(self, request: Request, request_id: str, account: str, model: str = "") -> Response:
        """``{"prompt": …}`` for the model in the path, or ``{"model": …, "input": {…}}``."""
        model = model.rstrip("/")
        body = await (object_or_file if self._service.takes_files(model) else json_object)(request)
        model, inputs, options = _model_request(model, body, request)
        return _response(await self._service.run(model, inputs, options, request_id=request_id))

    async def unknown(self, request: Request, **_: str) -> Response:
        raise errors.no_route(URL(request.url).pathname)


def _model_request(model: str, body: dict[str, Any] | bytes, request: Request) -> tuple[str, Any, dict[str, Any]]:
    """(model, inputs, options). Options come in the query and, beside the inputs, in the body."""
    options = dict(URL(request.url).search_params.items()) if "?" in request.url else {}
    if isinstance(body, dict) and isinstance(body.get("options"), dict):
        options |= body["options"]
    options = merge_gateway(options, request.headers.raw())
    if model or isinstance(body, bytes):
        return model, body, options
    if not isinstance(body.get("model"), str):
        raise errors.bad_input("required properties at '/' are 'model'")
    inputs = body.get("input")
    return body["model"], inputs if isinstance(inputs, dict) else body, options


def _response(answer: RunAnswer) -> Response:
    if answer.stream is not None:
        return Response(answer.stream, headers=answer.headers)
    return succeeded(answer.json, answer.headers)


__all__ = ["RunRest"]
