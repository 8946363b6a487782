"""Who answers a step of a universal request: Workers AI alone, in its own form or, as ``compat``, in OpenAI's."""

from __future__ import annotations

from typing import Any, NamedTuple

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.error_table import NO_SUCH_PROVIDER
from bindings.ai.errors import AIGatewayError, bad_input
from bindings.ai.gateway.log import PROVIDER
from bindings.ai.inputs.checks import Fields, mismatch
from bindings.ai.inputs.text import CHAT, COMPLETION, RESPONSES
from bindings.ai.openai.embeddings import embed
from bindings.ai.service import AIService

COMPAT = "compat"  # OpenAI's routes, whoever the provider is
FORMS = {"chat/completions": CHAT, "completions": COMPLETION, "responses": RESPONSES}
EMBEDDINGS = "embeddings"


class ProviderAnswer(NamedTuple):
    """``bare``: in OpenAI's form, which has no envelope."""

    answer: RunAnswer
    bare: bool


async def ask(service: AIService, step: object, options: dict[str, Any], request_id: str) -> ProviderAnswer:
    """One step, ``{provider, endpoint, query}``. Raises ModelError: 2008 for another provider."""
    if not isinstance(step, dict):
        raise bad_input(mismatch("/", step, "object"))
    provider, endpoint = step.get("provider"), str(step.get("endpoint") or "").strip("/")
    if provider not in (PROVIDER, COMPAT):
        providers = f"{PROVIDER!r} and {COMPAT!r}"
        raise AIGatewayError(NO_SUCH_PROVIDER, NO_SUCH_PROVIDER.describe(providers=providers))
    if provider == COMPAT or endpoint.startswith("v1/"):
        model, inputs = _model_and_inputs(step.get("query"), provider)
        return ProviderAnswer(
            await _openai(service, endpoint.removeprefix("v1/"), model, inputs, options, request_id), True
        )
    answer = await service.run(endpoint.removeprefix("run/"), step.get("query"), options, request_id=request_id)
    return ProviderAnswer(answer, False)


def _model_and_inputs(query: object, provider: str) -> tuple[str, Fields]:
    """(the model, the rest). For all providers upstream there is one route: the model's name begins with the one's."""
    if not isinstance(query, dict):
        raise bad_input(mismatch("/query", query, "object"))
    model, prefix = str(query.get("model") or ""), PROVIDER + "/"
    if provider == COMPAT and not model.startswith(prefix):
        raise bad_input(f"the model must be '{prefix}' and its id: no other provider is served here")
    return model.removeprefix(prefix), {name: value for name, value in query.items() if name != "model"}


async def _openai(
    service: AIService, path: str, model: str, inputs: Fields, options: dict[str, Any], request_id: str
) -> RunAnswer:
    if path == EMBEDDINGS:
        return await embed(service, model, inputs, options, request_id)
    if (form := FORMS.get(path)) is None:
        raise bad_input(f"the endpoint must be one of '{', '.join([*FORMS, EMBEDDINGS])}', not {path[:40]!r}")
    return await service.run(model, inputs, options, request_id=request_id, form=form)


__all__ = ["COMPAT", "ProviderAnswer", "ask"]
