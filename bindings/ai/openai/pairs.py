"""How well texts answer queries, for routes that ask it of rerankers and of models for embeddings alike.

A reranker reads each pair and gives it 0 to 1; of a model for embeddings it is the cosine of the two vectors.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.catalog import kinds
from bindings.ai.errors import bad_input
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.service import AIService
from bindings.ai.tasks.embeddings import cosine

Pair = tuple[str, str]  # a query and a text
Run = Callable[[dict[str, Any]], Coroutine[Any, Any, RunAnswer]]  # one request to the model, by its inputs
TEXTS_PER_REQUEST = 32  # for embeddings: every model of the catalog takes so many


class Scores(msgspec.Struct, frozen=True):
    """In the order of the pairs; ``headers``: of one of the answers they come from."""

    values: list[float]
    tokens: int
    headers: dict[str, str]


async def scores(service: AIService, call: ModelRequest, pairs: Sequence[Pair], request_id: str) -> Scores:
    """Raises ModelError: 5006 for a model that does neither, and what the model's task refuses."""
    model = service.catalog.model(call.model)
    measure = MEASURES.get(kinds.kind(model))
    if measure is None:
        raise bad_input(f"{model.id} is a model for {model.task}: name a reranker, or a model for embeddings")

    async def run(inputs: dict[str, Any]) -> RunAnswer:
        return await service.run(call.model, inputs, call.options, request_id=request_id)

    return await measure(run, pairs)


async def _by_reranker(run: Run, pairs: Sequence[Pair]) -> Scores:
    """One request for each query."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, (query, _) in enumerate(pairs):
        places[query].append(place)
    answers = await _together(
        [
            run({"query": query, "contexts": [{"text": pairs[place][1]} for place in of_query]})
            for query, of_query in places.items()
        ]
    )
    values = [0.0] * len(pairs)
    for of_query, answer in zip(places.values(), answers, strict=True):
        for one in answer.json["response"]:
            values[of_query[one["id"]]] = one["score"]
    return _gathered(values, answers)


async def _by_embeddings(run: Run, pairs: Sequence[Pair]) -> Scores:
    """Each text once, however many pairs it is in."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    answers = await _together(
        [run({"text": texts[at : at + TEXTS_PER_REQUEST]}) for at in range(0, len(texts), TEXTS_PER_REQUEST)]
    )
    vectors = dict(zip(texts, (vector for answer in answers for vector in answer.json["data"]), strict=True))
    return _gathered([cosine(vectors[query], vectors[text]) for query, text in pairs], answers)


MEASURES = {"Reranking": _by_reranker, "Text Embeddings": _by_embeddings}


async def _together(runs: Sequence[Coroutine[Any, Any, RunAnswer]]) -> list[RunAnswer]:
    """The first failure ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in runs]
    except* Exception as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _gathered(values: list[float], answers: Sequence[RunAnswer]) -> Scores:
    return Scores(values, sum(answer.stats.prompt_tokens for answer in answers), answers[0].headers)


__all__ = ["Scores", "scores"]
