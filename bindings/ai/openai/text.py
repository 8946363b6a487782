"""OpenAI's routes, under ``/client/v4/accounts/{account}/ai/v1`` and, for plain OpenAI clients, under ``/v1``.

A success is OpenAI's bare body, a refusal the service's envelope with OpenAI's ``error`` beside it; ``/responses``
has that alone: docs/reference/workers-ai.md#openais-api.
``/v1`` lies on the worker's own ground: it can be left to the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from bindings.ai.answers import anthropic_models, openai_errors
from bindings.ai.catalog.items import author, unix_time
from bindings.ai.catalog.models import TEXT_GENERATION, Model
from bindings.ai.errors import EdgeError, ModelError, bad_input
from bindings.ai.http.auth import AI_ROOT, Auth, Handler
from bindings.ai.http.header_auth import HeaderAuth
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.http.responses import bare, failed, json_response
from bindings.ai.inputs.text import CHAT, COMPLETION, OPENAI_ROUTE, RESPONSES
from bindings.ai.openai.embeddings import embed
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import Request, Response

FORMS = {"/chat/completions": CHAT, "/completions": COMPLETION, "/responses": RESPONSES}
OPT_OUT = "is answered here, not by the worker; [pilot] openai_routes = false leaves /v1 to the worker"


class OpenAIRest:
    """``serves_v1``: whether ``/v1`` is answered here. ``note`` tells the person at the terminal so, once.

    ``more``: handlers of its peers' routes, by path.
    """

    def __init__(
        self,
        service: AIService,
        auth: Auth,
        serves_v1: Callable[[], bool],
        note: Callable[[str], None],
        more: Mapping[str, Handler],
    ) -> None:
        self._service, self._auth, self.serves_v1, self._note = service, auth, serves_v1, note
        self._noted = False
        texts: dict[str, Handler] = {path: partial(self.text, form) for path, form in FORMS.items()}
        self.handlers: dict[str, Handler] = {**texts, "/embeddings": self.embeddings, **more}  # of POST, by path

    def routes(self) -> list[Route]:
        accounts = replace(self._auth, failure=refused)
        plain = HeaderAuth.of(self._auth, "x-api-key", refused_as_openai)  # Anthropic's clients list the models, too
        shared = [*self._under("/v1", plain), *self._cohere_v2(plain)]
        return [*self._under(AI_ROOT + "/v1", accounts), *(self._shared(route) for route in shared)]

    def _cohere_v2(self, auth: Auth) -> list[Route]:
        """Where Cohere's clients look for reranking. Only this: all else outside ``/v1`` is the worker's."""
        return [route for route in auth.routes("/v2/rerank", POST=self.handlers["/rerank"]) if route.method == "POST"]

    def _under(self, base: str, auth: Auth) -> list[Route]:
        listings: dict[str, Handler] = {"/models": self.models, "/models/{model:path}": self.model}
        routes = [auth.routes(base + path, POST=handler) for path, handler in self.handlers.items()]
        routes += [auth.routes(base + path, GET=handler) for path, handler in listings.items()]
        return [route for group in routes for route in group]

    def _shared(self, route: Route) -> Route:
        """Only while ``/v1`` is ours."""

        async def handler(request: Request, **path: str) -> Response:
            if not self._noted:
                self._noted = True
                self._note(f"{route.path} {OPT_OUT}")
            response: Response = await route.handler(request, **path)
            return response

        return Route(route.method, route.path, handler, self.serves_v1)

    async def text(self, form: str, request: Request, request_id: str, **path: str) -> Response:
        """Chat completions, completions and responses."""
        of_account = "account" in path
        try:
            call = await ModelRequest.read(request)
            self._require_text(call.model)
            answer = await self._service.run(
                call.model,
                call.fields,
                call.options,
                request_id=request_id,
                form=form if of_account else OPENAI_ROUTE + form,
            )
            return bare(answer)
        except ModelError as error:
            if form != RESPONSES:
                raise
            return _refused_response(error, request_id, error.status if of_account else _status(error))

    async def embeddings(self, request: Request, request_id: str, **_: str) -> Response:
        call = await ModelRequest.read(request)
        return bare(await embed(self._service, call.model, call.fields, call.options, request_id))

    async def models(self, request: Request, request_id: str, **_: str) -> Response:
        make = anthropic_models.row if anthropic_models.is_anthropic(request) else _model
        rows = [make(model) for model in self._service.catalog.models() if not model.retired]
        return json_response(
            anthropic_models.page(rows) if make is anthropic_models.row else {"object": "list", "data": rows}
        )

    async def model(self, request: Request, request_id: str, model: str, **_: str) -> Response:
        make = anthropic_models.row if anthropic_models.is_anthropic(request) else _model
        return json_response(make(self._service.catalog.model(model)))

    def _require_text(self, id: str) -> None:
        model = self._service.catalog.model(id)
        if model.task != TEXT_GENERATION:
            raise bad_input(f"{model.id} is a model for {model.task}, not for {TEXT_GENERATION}")


def refused(error: ModelError | EdgeError, request_id: str) -> Response:
    """A refusal under ``ai/v1``: its status is the service's."""
    return failed(error, request_id, error=openai_errors.error_object(error.envelope(request_id), error.status))


def refused_as_openai(error: ModelError | EdgeError, request_id: str) -> Response:
    """A refusal under ``/v1``: its status is OpenAI's."""
    status = _status(error)
    return failed(error, request_id, status, error=openai_errors.as_openai(error.envelope(request_id), status))


def _status(error: ModelError | EdgeError) -> int:
    code: int = error.envelope("")["errors"][0]["code"]
    return openai_errors.STATUSES.get(code, error.status)


def _refused_response(error: ModelError, request_id: str, status: int) -> Response:
    """As the Responses API refuses: a bad input is an ``invalid_prompt``."""
    body = openai_errors.error_object(error.envelope(request_id), status)
    code = "invalid_prompt" if error.code == openai_errors.BAD_INPUT else body["code"]
    return json_response({"error": {**body, "code": code}}, status, {"cf-ai-req-id": request_id, **error.headers})


def _model(model: Model) -> dict[str, Any]:
    created = unix_time(model.created_at) or 0
    return {"id": model.id, "object": "model", "created": created, "owned_by": author(model) or "local"}


__all__ = ["OpenAIRest", "refused", "refused_as_openai"]
