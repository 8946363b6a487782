"""``POST /v1/tokenize`` and ``/v1/detokenize``, vLLM's; ``POST /v1/responses/input_tokens``, OpenAI's count."""

from __future__ import annotations

from typing import Any

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.engine.tasks import Detokenize, Detokenized, Tokenize, Tokenized
from bindings.ai.errors import bad_input
from bindings.ai.http.asked import asked
from bindings.ai.http.auth import Handler, encoded
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import CHAT, RESPONSES, text_generation
from bindings.ai.service import AIService
from bindings.ai.tasks import checks as check
from runtime.web import Request, Response

MOST = 1 << 20  # tokens in one request
UNSERVED = {"add_generation_prompt": True, "continue_final_message": False}  # the values that change nothing


class TokensRest:
    def __init__(self, service: AIService) -> None:
        self._service = service
        self.handlers: dict[str, Handler] = {
            "/tokenize": self.tokenize,
            "/detokenize": self.detokenize,
            "/responses/input_tokens": self.input_tokens,
        }

    async def tokenize(self, request: Request, request_id: str, **_: str) -> Response:
        call = await asked(request)
        make = _of_messages if "messages" in call.fields else _of_text
        found: Tokenized = await self._service.perform(call.model, lambda model: make(call.fields, model), request_id)
        pieces = found.pieces if call.fields.get("return_token_strs") else None
        return encoded(
            {"count": len(found.tokens), "max_model_len": found.window, "tokens": found.tokens, "token_strs": pieces},
            headers={"cf-ai-req-id": request_id},
        )

    async def detokenize(self, request: Request, request_id: str, **_: str) -> Response:
        call = await asked(request)
        if (tokens := call.fields.get("tokens")) is None:
            raise bad_input(check.missing(call.fields, "tokens"))
        if not isinstance(tokens, list) or not all(type(token) is int and 0 <= token < 2**31 for token in tokens):
            raise bad_input("'/tokens' must be a list of token ids")
        if len(tokens) > MOST:
            raise bad_input(f"Length of '/tokens' must be <= {MOST}")
        found: Detokenized = await self._service.perform(call.model, lambda _: Detokenize(tokens=tokens), request_id)
        return encoded({"prompt": found.text}, headers={"cf-ai-req-id": request_id})

    async def input_tokens(self, request: Request, request_id: str, **_: str) -> Response:
        call = await asked(request)
        count = await counted(self._service, call.model, call.fields, RESPONSES, request_id)
        return encoded({"object": "response.input_tokens", "input_tokens": count}, headers={"cf-ai-req-id": request_id})


async def counted(service: AIService, model: str, fields: Fields, form: str, request_id: str) -> int:
    """How many tokens the model would read, asked this in that form. Raises AiError."""

    def task(model: Model) -> Tokenize:
        return Tokenize(request=text_generation(fields, model, form).generate)

    found: Tokenized = await service.perform(model, task, request_id)
    return len(found.tokens)


def _of_text(fields: Fields, model: Model) -> Tokenize:
    """A text as it is."""
    prompt = fields.get("prompt")
    if not isinstance(prompt, str):
        raise bad_input("'/prompt' must be a text" if prompt is not None else check.missing(fields, "prompt"))
    return Tokenize(request=Generate(prompt=prompt, raw=True), special=fields.get("add_special_tokens") is not False)


def _of_messages(fields: Fields, model: Model) -> Tokenize:
    """A chat as its template writes it, up to where the answer begins."""
    for name, value in UNSERVED.items():
        if fields.get(name, value) is not value:
            raise bad_input(f"'/{name}' is not served here")
    wanted: dict[str, Any] = {
        name: fields[name] for name in ("messages", "tools", "chat_template_kwargs") if name in fields
    }
    return Tokenize(request=text_generation(wanted, model, CHAT).generate)


__all__ = ["TokensRest", "counted"]
