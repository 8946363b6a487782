"""Rerankers and text classifiers, which the service files under one task, "Text Classification".

Facts: docs/reference/workers-ai.md#tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bindings.ai.engine.tasks import Classified, Classify, Score, Scored
from bindings.ai.inputs.checks import Fields
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.registry import TaskRequest

MAX_CONTEXTS = 1000  # in one request; the service states no limit


async def rerank(inputs: object, request: TaskRequest) -> dict[str, Any]:
    """``{query, contexts: [{text}], top_k?}`` → ``{response: [{id, score}]}``, best first."""
    fields = check.fields_of(inputs)
    check.refuse(_rerank_complaints(fields))
    texts = [context["text"] for context in fields["contexts"]]
    scored: Scored = await request.perform(Score(query=fields["query"], texts=texts))
    return {"response": ranked(scored.scores)[: int(fields.get("top_k", len(texts)))]}


async def classify(inputs: object, request: TaskRequest) -> list[dict[str, Any]]:
    """``{text}`` → a bare ``[{label, score}]``, in the model's own order."""
    fields = check.fields_of(inputs)
    check.refuse(check.text(fields["text"], "/text") if "text" in fields else iter([check.missing(fields, "text")]))
    classified: Classified = await request.perform(Classify(text=fields["text"]))
    return [{"label": label, "score": score} for label, score in classified.labels]


def ranked(scores: list[float]) -> list[dict[str, Any]]:
    """``[{"id", "score"}]``, best first; the id is the place in the request."""
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    return [{"id": number, "score": scores[number]} for number in order]


def _rerank_complaints(fields: Fields) -> Iterator[str]:
    if absent := [name for name in ("query", "contexts") if name not in fields]:
        yield check.missing(fields, *absent)
    if "query" in fields:
        yield from check.text(fields["query"], "/query")
    if "contexts" in fields:
        yield from check.contexts(fields["contexts"], "/contexts", MAX_CONTEXTS)
    if "top_k" in fields:
        yield from check.integer(fields["top_k"], "/top_k", 1)


__all__ = ["classify", "ranked", "rerank"]
