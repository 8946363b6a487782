"""OpenAI's ``error`` object, which its clients print and read; it stands beside the service's envelope.

Facts: docs/reference/workers-ai.md#errors.

Under ``/v1`` the status is OpenAI's as well: by it they choose the exception to raise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bindings.ai import error_table as table

CODES = {
    table.TEXT_TOO_LONG.code: "context_length_exceeded",
    table.CONTEXT_EXCEEDED.code: "context_length_exceeded",
    table.NO_SUCH_MODEL.code: "model_not_found",
    table.RETIRED.code: "model_not_found",
    table.INVALID_HEADERS.code: "invalid_api_key",
    table.NO_CREDENTIALS.code: "invalid_api_key",
    table.WRONG_TOKEN.code: "invalid_api_key",
    table.TOO_LARGE.code: "request_too_large",
}
STATUSES = {  # OpenAI's and Anthropic's, where the service's differ
    table.NO_LORA.code: 400,
    table.NO_SUCH_MODEL.code: 404,
    table.CONTEXT_EXCEEDED.code: 400,
    table.RETIRED.code: 404,
    table.INVALID_HEADERS.code: 401,
    table.NO_CREDENTIALS.code: 401,
}
API_KEY_MESSAGES = {  # what the layer in front says of credentials, for who knows them as an API key
    table.INVALID_HEADERS.code: "The API key is malformed: send it as 'Authorization: Bearer KEY'",
    table.NO_CREDENTIALS.code: "No API key was sent: send it as 'Authorization: Bearer KEY'",
    table.WRONG_TOKEN.code: "Incorrect API key",
}
# litellm and langchain go by it
CONTEXT_LENGTH = "This model's maximum context length is exceeded (context_length_exceeded). "
BAD_INPUT = table.BAD_INPUT.code
COMPLAINT_CODES = {  # what the first complaint of ``bindings.ai.inputs.checks`` has in it → OpenAI's code
    "required properties": "missing_required_parameter", "Type mismatch": "invalid_type",
    "not served": "unsupported_parameter",
}  # fmt: skip
COMPLAINTS_HEAD = "oneOf at '/' not met, 0 matches: "  # before the complaints
PLACE = re.compile(r"required properties at '/(?P<at>[^']*)' are '(?P<name>[^',]+)|'/(?P<pointer>[^']+)'")


def error_object(envelope: Mapping[str, Any], status: int) -> dict[str, Any]:
    """``{message, type, param, code}``, in the envelope's own words."""
    first = envelope["errors"][0]
    number, message = first["code"], first["message"]
    param = "model" if CODES.get(number) == "model_not_found" else _param(message) if number == BAD_INPUT else None
    return {"message": message, "type": _type(status), "param": param, "code": _code(number, message, status)}


def as_openai(envelope: Mapping[str, Any], status: int) -> dict[str, Any]:
    """The same in OpenAI's words where clients go by them: of the key, and of the window."""
    error, number = error_object(envelope, status), envelope["errors"][0]["code"]
    message = API_KEY_MESSAGES.get(number, error["message"])
    return {**error, "message": CONTEXT_LENGTH + message if error["code"] == "context_length_exceeded" else message}


def _type(status: int) -> str:
    return "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"


def _code(number: int, message: str, status: int) -> str:
    if number == BAD_INPUT:
        first, _, _ = message.replace(COMPLAINTS_HEAD, "").partition(", ")
        return next((code for words, code in COMPLAINT_CODES.items() if words in first), "invalid_value")
    other = "rate_limit_exceeded" if status == 429 else _type(status)
    return CODES.get(number, other)


def _param(message: str) -> str | None:
    """The first place that is complained about, as OpenAI writes it: ``messages[0].content``."""
    place = PLACE.search(message)
    if place is None:
        return None
    at = place["pointer"] or "/".join(filter(None, (place["at"], place["name"])))
    return re.sub(r"/(\d+)", r"[\1]", at).replace("/", ".")


__all__ = ["BAD_INPUT", "STATUSES", "as_openai", "error_object"]
