"""OpenAI's routes, under ``/client/v4/accounts/{account}/ai/v1`` and, for plain OpenAI clients, under ``/v1``.

A success is OpenAI's bare body, a refusal the service's envelope with OpenAI's ``error`` beside it; ``/responses``
has that alone (contract §2.3). ``/v1`` lies on the worker's own ground: it can be left to the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from bindings.ai.answers import anthropic_models, openai_errors
from bindings.ai.answers.answer import RunAnswer
from bindings.ai.catalog import items as catalog_items
from bindings.ai.catalog.models import TEXT_GENERATION, Model
from bindings.ai.errors import AiError, GatewayError, bad_input
from bindings.ai.http.asked import asked
from bindings.ai.http.auth import AI, Auth, Handler, encoded, failed
from bindings.ai.http.keys import Keys
from bindings.ai.inputs.text import CHAT, COMPLETION, OPENAI, RESPONSES
from bindings.ai.openai import embeddings as openai_embeddings
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import Request, Response

FORMS = {"/chat/completions": CHAT, "/completions": COMPLETION, "/responses": RESPONSES}
LEFT = "is answered here, not by the worker; [pilot] openai_routes = false leaves /v1 to the worker"


class OpenAIRest:
    """``own``: whether ``/v1`` is answered here. ``note`` tells the person at the terminal so, once.

    ``more``: handlers of its peers' routes, by path.
    """

    def __init__(
        self,
        service: AIService,
        gate: Auth,
        own: Callable[[], bool],
        note: Callable[[str], None],
        more: Mapping[str, Handler],
    ) -> None:
        self._service, self._gate, self.own, self._note = service, gate, own, note
        self._noted = False
        texts: dict[str, Handler] = {path: partial(self.text, form) for path, form in FORMS.items()}
        self.handlers: dict[str, Handler] = {**texts, "/embeddings": self.embeddings, **more}  # of POST, by path

    def routes(self) -> list[Route]:
        recorded = replace(self._gate, failure=refused)
        plain = Keys.of(self._gate, "x-api-key", refused_as_openai)  # Anthropic's clients list the models, too
        shared = [*self._under("/v1", plain), *self._elsewhere(plain)]
        return [*self._under(AI + "/v1", recorded), *(self._shared(route) for route in shared)]

    def _elsewhere(self, gate: Auth) -> list[Route]:
        """Where Cohere's clients look for it. Only this: all else but ``/v1`` is the worker's."""
        return [route for route in gate.routes("/v2/rerank", POST=self.handlers["/rerank"]) if route.method == "POST"]

    def _under(self, base: str, gate: Auth) -> list[Route]:
        read: dict[str, Handler] = {"/models": self.models, "/models/{model:path}": self.model}
        served = [gate.routes(base + path, POST=handler) for path, handler in self.handlers.items()]
        served += [gate.routes(base + path, GET=handler) for path, handler in read.items()]
        return [route for routes in served for route in routes]

    def _shared(self, route: Route) -> Route:
        """Only while ``/v1`` is ours."""

        async def handler(request: Request, **path: str) -> Response:
            if not self._noted:
                self._noted = True
                self._note(f"{route.path} {LEFT}")
            response: Response = await route.handler(request, **path)
            return response

        return Route(route.method, route.path, handler, self.own)

    async def text(self, form: str, request: Request, request_id: str, **path: str) -> Response:
        """Chat completions, completions and responses."""
        recorded = "account" in path
        habit = form if recorded else OPENAI + form
        try:
            call = await asked(request)
            self._require_text(call.model)
            return _answered(
                await self._service.run(call.model, call.fields, call.options, request_id=request_id, form=habit)
            )
        except AiError as error:
            if form != RESPONSES:
                raise
            return _refused_response(error, request_id, error.status if recorded else _status(error))

    async def embeddings(self, request: Request, request_id: str, **_: str) -> Response:
        call = await asked(request)
        return _answered(
            await openai_embeddings.embedded(self._service, call.model, call.fields, call.options, request_id)
        )

    async def models(self, request: Request, request_id: str, **_: str) -> Response:
        make = anthropic_models.row if anthropic_models.is_anthropic(request) else _model
        served = [make(model) for model in self._service.catalog.models() if not model.retired]
        return encoded(
            anthropic_models.page(served) if make is anthropic_models.row else {"object": "list", "data": served}
        )

    async def model(self, request: Request, request_id: str, model: str, **_: str) -> Response:
        make = anthropic_models.row if anthropic_models.is_anthropic(request) else _model
        return encoded(make(self._service.catalog.model(model)))

    def _require_text(self, id: str) -> None:
        model = self._service.catalog.model(id)
        if model.task != TEXT_GENERATION:
            raise bad_input(f"{model.id} is a model for {model.task}, not for {TEXT_GENERATION}")


def _answered(answer: RunAnswer) -> Response:
    if answer.stream is not None:
        return Response(answer.stream, headers=answer.headers)
    return encoded(answer.json, headers=answer.headers)


def refused(error: AiError | GatewayError, request_id: str) -> Response:
    """A refusal under ``ai/v1``: its status is the service's."""
    return failed(error, request_id, error=openai_errors.error_object(error.envelope(request_id), error.status))


def refused_as_openai(error: AiError | GatewayError, request_id: str) -> Response:
    """A refusal under ``/v1``: its status is OpenAI's."""
    status = _status(error)
    return failed(error, request_id, status, error=openai_errors.as_openai(error.envelope(request_id), status))


def _status(error: AiError | GatewayError) -> int:
    number: int = error.envelope("")["errors"][0]["code"]
    return openai_errors.STATUSES.get(number, error.status)


def _refused_response(error: AiError, request_id: str, status: int) -> Response:
    """As the Responses API refuses: a bad input is an ``invalid_prompt``."""
    told = openai_errors.error_object(error.envelope(request_id), status)
    code = "invalid_prompt" if error.code == openai_errors.BAD_INPUT else told["code"]
    return encoded({"error": {**told, "code": code}}, status, {"cf-ai-req-id": request_id, **error.headers})


def _model(model: Model) -> dict[str, Any]:
    created = catalog_items.unix_time(model.created_at) or 0
    return {"id": model.id, "object": "model", "created": created, "owned_by": catalog_items.author(model) or "local"}


__all__ = ["OpenAIRest", "refused", "refused_as_openai"]
