"""Text Embeddings (docs/reference/workers-ai.md#tasks): ``{text}`` and the further forms of bge-m3 and qwen3-embedding.

The model's row says which (``form``), and with which ``pooling`` the service answers unless the request says
otherwise: mean for the bge models, although their own configurations say cls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bindings.ai.catalog.models import Model
from bindings.ai.engine.tasks import Embed, Embedded
from bindings.ai.inputs.checks import Fields
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.ranking import ranked
from bindings.ai.tasks.registry import Job

POOLINGS = ("mean", "cls")
MOST = 100  # texts in one request
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


async def answer(inputs: Any, job: Job) -> dict[str, Any]:
    """The native result. Raises AiError 5006 for inputs of another shape."""
    fields = check.fields_of(inputs)
    complaints, result = FORMS[job.model.form]
    check.refuse(complaints(fields, job.model.max_batch or MOST))
    return await result(fields, job)


# {text, pooling}


def _text_form(fields: Fields, most: int) -> Iterator[str]:
    if "text" not in fields:
        yield f"oneOf at '/' not met, 0 matches: {check.missing(fields, 'text')}, {check.missing(fields, 'requests')}"
    else:
        yield from check.texts(fields["text"], "/text", most)
    if "pooling" in fields:
        yield from check.choice(fields["pooling"], "/pooling", POOLINGS)


async def _text_result(fields: Fields, job: Job) -> dict[str, Any]:
    pooling = fields.get("pooling") or job.model.pooling
    found = await _embed(_listed(fields["text"]), job, pooling)
    return {**_shaped(found), **({"pooling": found.pooling} if pooling else {})}


# bge-m3: {text} or {query?, contexts}


def _m3_form(fields: Fields, most: int) -> Iterator[str]:
    if "text" not in fields and "contexts" not in fields:
        yield f"oneOf at '/' not met, 0 matches: {check.missing(fields, 'contexts')}, {check.missing(fields, 'text')}"
    if "text" in fields:
        yield from check.texts(fields["text"], "/text", most)
    if "query" in fields:
        yield from check.text(fields["query"], "/query")
    if "contexts" in fields:
        yield from check.contexts(fields["contexts"], "/contexts", most)
    if "truncate_inputs" in fields:
        yield from check.boolean(fields["truncate_inputs"], "/truncate_inputs")


async def _m3_result(fields: Fields, job: Job) -> dict[str, Any]:
    truncate = bool(fields.get("truncate_inputs"))
    texts = [context["text"] for context in fields.get("contexts", [])] or _listed(fields["text"])
    query = fields.get("query") if "contexts" in fields else None
    found = await _embed([*([query] if query else []), *texts], job, job.model.pooling, truncate=truncate)
    if query:
        first, *others = found.vectors
        return {"response": ranked([product(first, other) for other in others])}
    result = {**_shaped(found), "pooling": found.pooling}
    if "contexts" in fields:
        result["response"] = result.pop("data")
    return result


# qwen3-embedding: {text} or {queries, documents, instruction}

QWEN = ("text", "queries", "documents")


def _qwen_form(fields: Fields, most: int) -> Iterator[str]:
    given = [name for name in QWEN if name in fields]
    if not given:
        yield f"anyOf at '/' not met: {', '.join(check.missing(fields, name) for name in QWEN)}"
    for name in given:
        yield from check.texts(fields[name], f"/{name}", most)
    if "instruction" in fields:
        yield from check.text(fields["instruction"], "/instruction")


async def _qwen_result(fields: Fields, job: Job) -> dict[str, Any]:
    """Queries come first, each with the instruction before it; documents and texts are taken as they are."""
    head = f"Instruct: {fields.get('instruction', INSTRUCTION)}\nQuery:"
    queries = _listed(fields.get("queries", []))
    asked = queries if job.stand_in else [head + query for query in queries]
    found = await _embed([*asked, *_listed(fields.get("documents", [])), *_listed(fields.get("text", []))], job, None)
    return {"data": found.vectors, "shape": _shaped(found)["shape"]}


FORMS: dict[str, tuple[Callable[[Fields, int], Iterator[str]], Callable[[Fields, Job], Awaitable[dict[str, Any]]]]] = {
    "text": (_text_form, _text_result),
    "m3": (_m3_form, _m3_result),
    "qwen": (_qwen_form, _qwen_result),
}


async def _embed(texts: list[str], job: Job, pooling: str | None, *, truncate: bool = True) -> Embedded:
    """A stand-in reads less than the real model: it cuts rather than refuses what that one would take."""
    asked = Embed(texts=texts, pooling=pooling, limit=_limit(job.model), truncate=truncate or job.stand_in)
    found: Embedded = await job.ask(asked)
    return found


def _limit(model: Model) -> int | None:
    return model.max_input_tokens or model.context_window


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _shaped(found: Embedded) -> dict[str, Any]:
    return {"shape": [len(found.vectors), len(found.vectors[0])], "data": found.vectors}


def product(one: list[float], other: list[float]) -> float:
    """The cosine of two unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


__all__ = ["answer", "product"]
