"""What is asked for under ``/v1`` and served by nobody: a 404 in OpenAI's form that says what there is.

Without it a worker that answers everything would answer an API's client with a page, or with somebody's chat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bindings.ai.http.auth import encoded
from bindings.base import Route
from runtime.web import URL, Request, Response

UNSERVED = {  # the first words of a path → what its clients want of it
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
LEFT = "[pilot] openai_routes = false leaves /v1 to the worker"


class Unknown:
    """``served``: the paths of POST. ``own``: whether all of ``/v1`` is answered here. Its routes come last."""

    def __init__(self, served: Iterable[str], own: Callable[[], bool]) -> None:
        self._served, self.own = ", ".join(f"/v1{path}" for path in served), own

    def routes(self) -> list[Route]:
        return [Route("*", path, self.answer, self.own) for path in ("/v1", "/v1/{path:path}")]

    async def answer(self, request: Request, **_: str) -> Response:
        path = URL(request.url).pathname
        why = next((f": {why}" for words, why in UNSERVED.items() if f"{path}/".startswith(f"/v1/{words}/")), "")
        text = (
            f"There is no {request.method} {path} here{why}. Served are POST {self._served}, and GET /v1/models. {LEFT}"
        )
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
        return encoded({"error": error}, 404)


__all__ = ["Unknown"]
