"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``, for Anthropic's clients and for Claude Code.

The key comes as ``x-api-key`` or as a bearer token; any will do where any does for the other routes. A refusal has
Anthropic's form, and its status.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from bindings.ai.answers.message_errors import error_body
from bindings.ai.catalog.models import TEXT_GENERATION
from bindings.ai.error_table import BAD_INPUT
from bindings.ai.errors import EdgeError, ModelError
from bindings.ai.http.auth import Auth
from bindings.ai.http.header_auth import HeaderAuth
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.http.responses import bare, json_response
from bindings.ai.inputs.text import MESSAGES
from bindings.ai.openai.tokens import count_tokens
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import Request, Response


class MessagesRest(msgspec.Struct, frozen=True):
    """``serves_v1``: whether ``/v1`` is answered here."""

    service: AIService
    auth: Auth
    serves_v1: Callable[[], bool]

    def routes(self) -> list[Route]:
        auth = HeaderAuth.of(self.auth, "x-api-key", refused)
        routes = [
            *auth.routes("/v1/messages", POST=self.messages),
            *auth.routes("/v1/messages/count_tokens", POST=self.count_tokens),
        ]
        return [replace(route, when=self.serves_v1) for route in routes]

    async def messages(self, request: Request, request_id: str) -> Response:
        call = await ModelRequest.read(request)
        self._require_text(call.model)
        answer = await self.service.run(call.model, call.fields, call.options, request_id=request_id, form=MESSAGES)
        return bare(answer, {"request-id": request_id})

    async def count_tokens(self, request: Request, request_id: str) -> Response:
        call = await ModelRequest.read(request)
        self._require_text(call.model)
        fields = {"max_tokens": 1, **call.fields}
        count = await count_tokens(self.service, call.model, fields, MESSAGES, request_id)
        return json_response({"input_tokens": count}, headers={"request-id": request_id, "cf-ai-req-id": request_id})

    def _require_text(self, id: str) -> None:
        model = self.service.catalog.model(id)
        if model.task != TEXT_GENERATION:
            raise ModelError(BAD_INPUT, f"model: {model.id} is for {model.task}")


def refused(error: ModelError | EdgeError, request_id: str) -> Response:
    body, status = error_body(error, request_id)
    return json_response(body, status, {"request-id": request_id, "cf-ai-req-id": request_id, **error.headers})


__all__ = ["MessagesRest"]
