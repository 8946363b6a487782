"""Guard models (docs/reference/workers-ai.md#tasks): is the last message of a conversation safe, and if not, why?

The model writes ``safe``, or ``unsafe`` and a line of categories (``S1,S10``). Asked for JSON, the answer is made of
that: no guard was trained to write JSON itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bindings.ai.engines.accumulator import Usage
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import text_generation
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.registry import TaskRequest

ROLES_MUST_ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."
NOT_FOR_THE_MODEL = ("response_format", "stream")


async def answer(inputs: object, request: TaskRequest) -> dict[str, Any]:
    """``{response, usage}``: the model's own words, or ``{safe, categories}`` where JSON was asked for."""
    fields = check.fields_of(inputs)
    check.refuse(_complaints(fields))
    text_fields = {name: value for name, value in fields.items() if name not in NOT_FOR_THE_MODEL}
    text = (await request.generate(text_generation(text_fields, request.model))).strip()
    usage = Usage(request.stats.prompt_tokens, request.stats.tokens)
    return {"response": verdict_of(text) if "response_format" in fields else text, "usage": usage.counts()}


def verdict_of(text: str) -> dict[str, Any]:
    verdict, _, categories = text.partition("\n")
    names = [name.strip() for name in categories.split(",")]
    return {"safe": verdict.strip().lower() == "safe", "categories": [name for name in names if name]}


def _complaints(fields: Fields) -> Iterator[str]:
    if "messages" not in fields:
        yield check.missing(fields, "messages")
    elif isinstance(fields["messages"], list):  # the rest is text generation's to check
        roles = [message.get("role") if isinstance(message, dict) else None for message in fields["messages"]]
        if any(role != ("user", "assistant")[number % 2] for number, role in enumerate(roles)):
            yield ROLES_MUST_ALTERNATE
    form = fields.get("response_format", {"type": "json_object"})
    if not isinstance(form, dict) or form.get("type") != "json_object":
        yield "'/response_format/type' must be one of 'json_object'"


__all__ = ["answer", "verdict_of"]
