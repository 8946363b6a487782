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
from bindings.ai.tasks.registry import TaskRequest

POOLINGS = ("mean", "cls")
MAX_TEXTS = 100  # in one request
DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


async def answer(inputs: object, request: TaskRequest) -> dict[str, Any]:
    """The native result. Raises ModelError 5006 for inputs of another shape."""
    fields = check.fields_of(inputs)
    complaints, result = FORMS[request.model.form]
    check.refuse(complaints(fields, request.model.max_batch or MAX_TEXTS))
    return await result(fields, request)


# {text, pooling}


def _text_form(fields: Fields, max_items: int) -> Iterator[str]:
    if "text" not in fields:
        yield f"oneOf at '/' not met, 0 matches: {check.missing(fields, 'text')}, {check.missing(fields, 'requests')}"
    else:
        yield from check.texts(fields["text"], "/text", max_items)
    if "pooling" in fields:
        yield from check.choice(fields["pooling"], "/pooling", POOLINGS)


async def _text_result(fields: Fields, request: TaskRequest) -> dict[str, Any]:
    pooling = fields.get("pooling") or request.model.pooling
    embedded = await _embed(_listed(fields["text"]), request, pooling)
    return {**_shaped(embedded), **({"pooling": embedded.pooling} if pooling else {})}


# bge-m3: {text} or {query?, contexts}


def _m3_form(fields: Fields, max_items: int) -> Iterator[str]:
    if "text" not in fields and "contexts" not in fields:
        yield f"oneOf at '/' not met, 0 matches: {check.missing(fields, 'contexts')}, {check.missing(fields, 'text')}"
    if "text" in fields:
        yield from check.texts(fields["text"], "/text", max_items)
    if "query" in fields:
        yield from check.text(fields["query"], "/query")
    if "contexts" in fields:
        yield from check.contexts(fields["contexts"], "/contexts", max_items)
    if "truncate_inputs" in fields:
        yield from check.boolean(fields["truncate_inputs"], "/truncate_inputs")


async def _m3_result(fields: Fields, request: TaskRequest) -> dict[str, Any]:
    truncate = bool(fields.get("truncate_inputs"))
    texts = [context["text"] for context in fields.get("contexts", [])] or _listed(fields["text"])
    query = fields.get("query") if "contexts" in fields else None
    embedded = await _embed([*([query] if query else []), *texts], request, request.model.pooling, truncate=truncate)
    if query:
        first, *others = embedded.vectors
        return {"response": ranked([cosine(first, other) for other in others])}
    result = {**_shaped(embedded), "pooling": embedded.pooling}
    if "contexts" in fields:
        result["response"] = result.pop("data")
    return result


# qwen3-embedding: {text} or {queries, documents, instruction}

QWEN_INPUTS = ("text", "queries", "documents")


def _qwen_form(fields: Fields, max_items: int) -> Iterator[str]:
    present = [name for name in QWEN_INPUTS if name in fields]
    if not present:
        yield f"anyOf at '/' not met: {', '.join(check.missing(fields, name) for name in QWEN_INPUTS)}"
    for name in present:
        yield from check.texts(fields[name], f"/{name}", max_items)
    if "instruction" in fields:
        yield from check.text(fields["instruction"], "/instruction")


async def _qwen_result(fields: Fields, request: TaskRequest) -> dict[str, Any]:
    """Queries come first, each with the instruction before it; documents and texts are taken as they are."""
    head = f"Instruct: {fields.get('instruction', DEFAULT_INSTRUCTION)}\nQuery:"
    queries = _listed(fields.get("queries", []))
    instructed = queries if request.stand_in else [head + query for query in queries]
    embedded = await _embed(
        [*instructed, *_listed(fields.get("documents", [])), *_listed(fields.get("text", []))], request, None
    )
    return {"data": embedded.vectors, "shape": _shaped(embedded)["shape"]}


FORMS: dict[
    str, tuple[Callable[[Fields, int], Iterator[str]], Callable[[Fields, TaskRequest], Awaitable[dict[str, Any]]]]
] = {"text": (_text_form, _text_result), "m3": (_m3_form, _m3_result), "qwen": (_qwen_form, _qwen_result)}


async def _embed(texts: list[str], request: TaskRequest, pooling: str | None, *, truncate: bool = True) -> Embedded:
    """A stand-in reads less than the real model: it cuts rather than refuses what that one would take."""
    task = Embed(texts=texts, pooling=pooling, limit=_limit(request.model), truncate=truncate or request.stand_in)
    embedded: Embedded = await request.perform(task)
    return embedded


def _limit(model: Model) -> int | None:
    return model.max_input_tokens or model.context_window


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _shaped(embedded: Embedded) -> dict[str, Any]:
    return {"shape": [len(embedded.vectors), len(embedded.vectors[0])], "data": embedded.vectors}


def cosine(one: list[float], other: list[float]) -> float:
    """The cosine of two unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


__all__ = ["answer", "cosine"]
