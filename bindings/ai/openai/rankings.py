"""``POST /v1/rerank`` and ``POST /v1/score``, in the forms of Cohere, Jina and vLLM.

{model, query, documents: [text | {text}], top_n, return_documents} → {id, model, results, usage, meta}
{model, text_1, text_2} or {queries, documents} or {queries, items}  → {id, object: "list", data, usage}
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.http.auth import Handler
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.http.responses import json_response
from bindings.ai.inputs.checks import Fields, mismatch
from bindings.ai.openai.pairs import Pair, scores
from bindings.ai.service import AIService
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.ranking import MAX_CONTEXTS, ranked
from runtime.web import Request, Response

PAIR_FIELDS = (
    ("text_1", "text_2"),
    ("queries", "documents"),
    ("queries", "items"),
    ("data_1", "data_2"),
)  # vLLM's names, all of them


class RankingsRest:
    def __init__(self, service: AIService) -> None:
        self._service = service
        self.handlers: dict[str, Handler] = {"/rerank": self.rerank, "/score": self.score}

    async def rerank(self, request: Request, request_id: str, **_: str) -> Response:
        """Best first. ``top_n``: 0 for all. The documents come back unless ``return_documents`` is false."""
        call = await ModelRequest.read(request)
        fields = call.fields
        check.refuse(_complaints(fields))
        texts = [_text(document) for document in fields["documents"]]
        scored = await scores(self._service, call, [(fields["query"], text) for text in texts], request_id)
        best = ranked(scored.values)[: int(fields.get("top_n", 0)) or None]
        results = [{"index": one["id"], "relevance_score": one["score"]} for one in best]
        if fields.get("return_documents", True):
            results = [{**one, "document": {"text": texts[one["index"]]}} for one in results]
        usage = {"prompt_tokens": scored.tokens, "total_tokens": scored.tokens}
        meta = {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": scored.tokens, "output_tokens": 0}}
        body = {"id": f"rerank-{request_id}", "model": call.model, "results": results, "usage": usage, "meta": meta}
        return json_response(body, headers=scored.headers)

    async def score(self, request: Request, request_id: str, **_: str) -> Response:
        call = await ModelRequest.read(request)
        scored = await scores(self._service, call, _pairs(call.fields), request_id)
        data = [{"index": at, "object": "score", "score": value} for at, value in enumerate(scored.values)]
        usage = {
            "prompt_tokens": scored.tokens,
            "total_tokens": scored.tokens,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        }
        body = {
            "id": f"score-{request_id}",
            "object": "list",
            "created": int(time.time()),
            "model": call.model,
            "data": data,
            "usage": usage,
        }
        return json_response(body, headers=scored.headers)


def _complaints(fields: Fields) -> Iterator[str]:
    if absent := [name for name in ("query", "documents") if name not in fields]:
        yield check.missing(fields, *absent)
    if "query" in fields:
        yield from check.text(fields["query"], "/query")
    if "documents" in fields:
        yield from _documents(fields["documents"])
    if "top_n" in fields:
        yield from check.integer(fields["top_n"], "/top_n", 0)
    if "return_documents" in fields:
        yield from check.boolean(fields["return_documents"], "/return_documents")


def _documents(documents: object) -> Iterator[str]:
    """Texts, and objects with a ``text``, in any mixture."""
    if isinstance(documents, list):
        documents = [{"text": one} if isinstance(one, str) else one for one in documents]
    yield from check.contexts(documents, "/documents", MAX_CONTEXTS)


def _text(document: str | dict[str, str]) -> str:
    return document if isinstance(document, str) else document["text"]


def _pairs(fields: Fields) -> list[Pair]:
    """One query for all texts, or one for each. Raises ModelError 5006."""
    names = next((names for names in PAIR_FIELDS if all(name in fields for name in names)), None)
    if names is None:
        others = " or ".join(repr(",".join(names)) for names in PAIR_FIELDS[1:3])
        raise bad_input(f"{check.missing(fields, *PAIR_FIELDS[0])}, or {others}")
    queries, texts = (_listed(fields[name], f"/{name}") for name in names)
    if len(queries) not in (1, len(texts)):
        raise bad_input(f"'/{names[0]}' must be one text, or as many as '/{names[1]}' has")
    return list(zip(queries * (len(texts) if len(queries) == 1 else 1), texts, strict=True))


def _listed(value: Any, at: str) -> list[str]:
    if isinstance(value, dict):
        raise bad_input(mismatch(at, value, "string,array"))
    check.refuse(check.texts(value, at, MAX_CONTEXTS))
    return [value] if isinstance(value, str) else value


__all__ = ["RankingsRest"]
