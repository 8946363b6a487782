"""Responses in JSON: bare, or in the API's envelope; and a model's answer, whole or as a stream.

Facts: docs/reference/workers-ai.md#run.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.errors import EdgeError, ModelError
from runtime.api import envelope
from runtime.web import Response


def succeeded(result: object, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """The envelope of a success; ``more`` is what stands beside the result, such as ``result_info``."""
    return json_response(envelope.success(result, **more), 200, headers)


def failed(refusal: ModelError | EdgeError, request_id: str, status: int = 0, **more: object) -> Response:
    """The envelope of a refusal; ``more`` is what stands beside it. ``status``: another than the refusal's own."""
    id = {"cf-ai-req-id": request_id} if isinstance(refusal, ModelError) else {}  # the model layer's
    return json_response({**refusal.envelope(request_id), **more}, status or refusal.status, {**id, **refusal.headers})


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON under exactly ``application/json``: a charset would make a binding's answer a stream."""
    content = msgspec.json.encode(body)
    return Response(content, status=status, headers={"content-type": "application/json", **(headers or {})})


def bare(answer: RunAnswer, headers: Mapping[str, str] | None = None) -> Response:
    """A model's answer without an envelope: its stream, or its JSON. ``headers``: more than its own."""
    headers = {**answer.headers, **(headers or {})}
    if answer.stream is not None:
        return Response(answer.stream, headers=headers)
    return json_response(answer.json, headers=headers)


__all__ = ["bare", "failed", "json_response", "succeeded"]
