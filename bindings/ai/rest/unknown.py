"""Paths under ``/v1`` that nobody serves: a 404 in OpenAI's form that says what there is.

Without it a worker that answers everything would answer an API's client with a page, or with somebody's chat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bindings.ai.http.responses import json_response
from bindings.base import Route
from runtime.web import URL, Request, Response

UNSERVED = {  # the beginning of a path → what its clients are told instead
    "assistants": "nothing is stored here: send the whole conversation to /v1/chat/completions or /v1/responses",
    "audio/speech": "no model here speaks",
    "batches": "env.AI.run and ai/run take batches: see queueRequest",
    "conversations": "nothing is stored here: send the whole conversation to /v1/responses",
    "files": "nothing is stored here",
    "fine_tuning": "models are not trained here: ai/finetunes takes finished adapters",
    "images": "no model here makes images",
    "moderations": "ai/run with a llama-guard model says what is unsafe",
    "responses": "nothing is stored here: a response is given once, by POST /v1/responses",
    "threads": "nothing is stored here: send the whole conversation to /v1/chat/completions or /v1/responses",
    "uploads": "nothing is stored here",
    "vector_stores": "nothing is stored here",
    "videos": "no model here makes videos",
}
OPT_OUT = "[pilot] openai_routes = false leaves /v1 to the worker"


class UnknownRest:
    """``served``: the paths of POST. ``serves_all_v1``: whether nothing under ``/v1`` is left to the worker.

    Its routes come last.
    """

    def __init__(self, served: Iterable[str], serves_all_v1: Callable[[], bool]) -> None:
        self._served, self.serves_all_v1 = ", ".join(f"/v1{path}" for path in served), serves_all_v1

    def routes(self) -> list[Route]:
        return [Route("*", path, self.answer, self.serves_all_v1) for path in ("/v1", "/v1/{path:path}")]

    async def answer(self, request: Request, **_: str) -> Response:
        path = URL(request.url).pathname
        hint = next((f": {hint}" for name, hint in UNSERVED.items() if f"{path}/".startswith(f"/v1/{name}/")), "")
        served = f"Served are POST {self._served}, and GET /v1/models"
        text = f"There is no {request.method} {path} here{hint}. {served}. {OPT_OUT}"
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
        return json_response({"error": error}, 404)


__all__ = ["UnknownRest"]
