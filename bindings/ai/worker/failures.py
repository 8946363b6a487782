"""What ``env.AI`` raises in a worker, under the names that upstream gives.

Facts: docs/reference/workers-ai.md#what-a-worker-sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.wire import RemoteError


class InferenceUpstreamError(Exception):
    """A refused or failed ``run``: ``str(error)`` is ``"<code>: <description>"``.

    ``code`` is Workers AI's (5007: no such model …), ``status`` the HTTP status of the same refusal.
    """

    name = "InferenceUpstreamError"

    def __init__(self, message: str, *, code: int = 0, status: int = 500, request_id: str | None = None) -> None:
        self.message, self.code, self.status, self.request_id = message, code, status, request_id
        super().__init__(message)


class AiError(InferenceUpstreamError):
    """A refusal of the model layer: in the supervisor it was a ``bindings.ai.errors.ModelError``."""

    name = "AiError"


class AiInternalError(InferenceUpstreamError):
    """What never reached a model: the message alone."""

    name = "AiInternalError"


class AiGatewayInternalError(InferenceUpstreamError):
    """A gateway's logs cannot be used."""

    name = "AiGatewayInternalError"


class AiGatewayLogNotFound(InferenceUpstreamError):
    """The gateway has no such log."""

    name = "AiGatewayLogNotFound"


KINDS: Mapping[str, type[InferenceUpstreamError]] = {
    kind.name: kind for kind in (AiError, AiInternalError, AiGatewayInternalError, AiGatewayLogNotFound)
}


def of(error: RemoteError) -> InferenceUpstreamError:
    """What came back from the host's half, as a worker is to see it."""
    fields: dict[str, Any] = error.fields
    kind = KINDS.get(error.name, InferenceUpstreamError)
    return kind(
        error.message, code=fields.get("code", 0), status=fields.get("status", 500), request_id=fields.get("request_id")
    )


__all__ = [
    "AiError",
    "AiGatewayInternalError",
    "AiGatewayLogNotFound",
    "AiInternalError",
    "InferenceUpstreamError",
    "of",
]
