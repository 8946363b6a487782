"""What Anthropic's API says when it refuses: ``{type: "error", error: {type, message}, request_id}``."""

from __future__ import annotations

from typing import Any

from bindings.ai import error_table as table
from bindings.ai.answers.openai_errors import STATUSES
from bindings.ai.errors import EdgeError, ModelError

TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
         408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error"}  # fmt: skip
MESSAGES = {  # what Anthropic's clients look for
    table.NO_CREDENTIALS.code: "No API key was sent. Send one as 'x-api-key', or as 'Authorization: Bearer …'",
    table.CONTEXT_EXCEEDED.code: "prompt is too long: {}",
}


def error_type(status: int) -> str:
    """The error's ``type``."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(error: ModelError | EdgeError, request_id: str) -> tuple[dict[str, Any], int]:
    """The body, and the status that Anthropic has for it."""
    first = error.envelope(request_id)["errors"][0]
    status = STATUSES.get(first["code"], error.status)
    message = error.description.removeprefix("Error: ") if isinstance(error, ModelError) else first["message"]
    message = MESSAGES.get(first["code"], "{}").format(message)
    return {
        "type": "error",
        "error": {"type": error_type(status), "message": message},
        "request_id": request_id,
    }, status


__all__ = ["error_body", "error_type"]
