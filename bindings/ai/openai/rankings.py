"""``POST /v1/rerank`` and ``POST /v1/score``, in the forms of Cohere, Jina and vLLM.

{model, query, documents: [text | {text}], top_n, return_documents} → {id, model, results, usage, meta}
{model, text_1, text_2} or {queries, documents} or {queries, items}  → {id, object: "list", data, usage}
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.http.asked import asked
from bindings.ai.http.auth import Handler, encoded
from bindings.ai.inputs.checks import Fields, mismatch
from bindings.ai.openai.pairs import Pair, scores
from bindings.ai.service import AIService
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.ranking import MOST, ranked
from runtime.web import Request, Response

NAMES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))  # vLLM's, all


class RankingsRest:
    def __init__(self, service: AIService) -> None:
        self._service = service
        self.handlers: dict[str, Handler] = {"/rerank": self.rerank, "/score": self.score}

    async def rerank(self, request: Request, request_id: str, **_: str) -> Response:
        """Best first. ``top_n``: 0 for all. The documents come back unless ``return_documents`` is false."""
        call = await asked(request)
        fields = call.fields
        check.refuse(_complaints(fields))
        texts = [_text(document) for document in fields["documents"]]
        found = await scores(self._service, call, [(fields["query"], text) for text in texts], request_id)
        best = ranked(found.values)[: int(fields.get("top_n", 0)) or None]
        results = [{"index": one["id"], "relevance_score": one["score"]} for one in best]
        if fields.get("return_documents", True):
            results = [{**one, "document": {"text": texts[one["index"]]}} for one in results]
        usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
        meta = {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": found.tokens, "output_tokens": 0}}
        body = {"id": f"rerank-{request_id}", "model": call.model, "results": results, "usage": usage, "meta": meta}
        return encoded(body, headers=found.headers)

    async def score(self, request: Request, request_id: str, **_: str) -> Response:
        call = await asked(request)
        found = await scores(self._service, call, _pairs(call.fields), request_id)
        data = [{"index": at, "object": "score", "score": value} for at, value in enumerate(found.values)]
        usage = {
            "prompt_tokens": found.tokens,
            "total_tokens": found.tokens,
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
        return encoded(body, headers=found.headers)


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


def _documents(given: Any) -> Iterator[str]:
    """Texts, and objects with a ``text``, in any mixture."""
    if isinstance(given, list):
        given = [{"text": one} if isinstance(one, str) else one for one in given]
    yield from check.contexts(given, "/documents", MOST)


def _text(document: Any) -> str:
    text: str = document if isinstance(document, str) else document["text"]
    return text


def _pairs(fields: Fields) -> list[Pair]:
    """One query for all texts, or one for each. Raises AiError 5006."""
    found = next((names for names in NAMES if all(name in fields for name in names)), None)
    if found is None:
        others = " or ".join(repr(",".join(names)) for names in NAMES[1:3])
        raise bad_input(f"{check.missing(fields, *NAMES[0])}, or {others}")
    queries, texts = (_listed(fields[name], f"/{name}") for name in found)
    if len(queries) not in (1, len(texts)):
        raise bad_input(f"'/{found[0]}' must be one text, or as many as '/{found[1]}' has")
    return list(zip(queries * (len(texts) if len(queries) == 1 else 1), texts, strict=True))


def _listed(given: Any, at: str) -> list[str]:
    if isinstance(given, dict):
        raise bad_input(mismatch(at, given, "string,array"))
    check.refuse(check.texts(given, at, MOST))
    return [given] if isinstance(given, str) else given


__all__ = ["RankingsRest"]
