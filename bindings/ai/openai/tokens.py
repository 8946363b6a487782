"""``POST /v1/tokenize`` and ``/v1/detokenize``, vLLM's; ``POST /v1/responses/input_tokens``, OpenAI's count."""

from __future__ import annotations

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.engine.tasks import Detokenize, Detokenized, Tokenize, Tokenized
from bindings.ai.errors import bad_input
from bindings.ai.http.auth import Handler
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.http.responses import json_response
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import CHAT, RESPONSES, text_generation
from bindings.ai.service import AIService
from bindings.ai.tasks import checks as check
from runtime.web import Request, Response

MAX_TOKENS = 1 << 20  # in one request
FIXED = {"add_generation_prompt": True, "continue_final_message": False}  # the only values that are served


class TokensRest:
    def __init__(self, service: AIService) -> None:
        self._service = service
        self.handlers: dict[str, Handler] = {
            "/tokenize": self.tokenize,
            "/detokenize": self.detokenize,
            "/responses/input_tokens": self.input_tokens,
        }

    async def tokenize(self, request: Request, request_id: str, **_: str) -> Response:
        call = await ModelRequest.read(request)
        make = _of_messages if "messages" in call.fields else _of_text
        tokenized: Tokenized = await self._service.perform(
            call.model, lambda model: make(call.fields, model), request_id
        )
        pieces = tokenized.pieces if call.fields.get("return_token_strs") else None
        return json_response(
            {
                "count": len(tokenized.tokens),
                "max_model_len": tokenized.window,
                "tokens": tokenized.tokens,
                "token_strs": pieces,
            },
            headers={"cf-ai-req-id": request_id},
        )

    async def detokenize(self, request: Request, request_id: str, **_: str) -> Response:
        call = await ModelRequest.read(request)
        if (tokens := call.fields.get("tokens")) is None:
            raise bad_input(check.missing(call.fields, "tokens"))
        if not isinstance(tokens, list) or not all(type(token) is int and 0 <= token < 2**31 for token in tokens):
            raise bad_input("'/tokens' must be a list of token ids")
        if len(tokens) > MAX_TOKENS:
            raise bad_input(f"Length of '/tokens' must be <= {MAX_TOKENS}")
        detokenized: Detokenized = await self._service.perform(
            call.model, lambda _: Detokenize(tokens=tokens), request_id
        )
        return json_response({"prompt": detokenized.text}, headers={"cf-ai-req-id": request_id})

    async def input_tokens(self, request: Request, request_id: str, **_: str) -> Response:
        call = await ModelRequest.read(request)
        count = await count_tokens(self._service, call.model, call.fields, RESPONSES, request_id)
        return json_response(
            {"object": "response.input_tokens", "input_tokens": count}, headers={"cf-ai-req-id": request_id}
        )


async def count_tokens(service: AIService, model: str, fields: Fields, form: str, request_id: str) -> int:
    """How many tokens the model would read of ``fields`` in that ``form``. Raises ModelError."""

    def task(model: Model) -> Tokenize:
        return Tokenize(request=text_generation(fields, model, form).generate)

    tokenized: Tokenized = await service.perform(model, task, request_id)
    return len(tokenized.tokens)


def _of_text(fields: Fields, model: Model) -> Tokenize:
    """A text as it is."""
    prompt = fields.get("prompt")
    if not isinstance(prompt, str):
        raise bad_input("'/prompt' must be a text" if prompt is not None else check.missing(fields, "prompt"))
    return Tokenize(request=Generate(prompt=prompt, raw=True), special=fields.get("add_special_tokens") is not False)


def _of_messages(fields: Fields, model: Model) -> Tokenize:
    """A chat as its template writes it, up to where the answer begins."""
    for name, value in FIXED.items():
        if fields.get(name, value) is not value:
            raise bad_input(f"'/{name}' is not served here")
    chat: Fields = {name: fields[name] for name in ("messages", "tools", "chat_template_kwargs") if name in fields}
    return Tokenize(request=text_generation(chat, model, CHAT).generate)


__all__ = ["TokensRest", "count_tokens"]
