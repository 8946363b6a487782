"""Bodies of requests: bytes, JSON, forms.

Facts: docs/reference/workers-ai.md#run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai import errors
from bindings.ai.inputs import checks
from runtime.api import bounded_json
from runtime.errors import RequestError
from runtime.web import FormData, Request


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object, whatever its content type says. Raises ModelError 3003, 3006, 5006."""
    body = decode_json(await read_body(request))
    if not isinstance(body, dict):
        raise errors.bad_input(checks.mismatch("/", body, "object"))
    return body


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ModelError 3006 when it is too large."""
    try:
        return await request.bytes()
    except RequestError as error:
        raise errors.unreadable_body(error) from None


async def read_form(request: Request) -> FormData:
    """A form, whole. Raises ModelError 3006 when it is too large, 5006 when it is none."""
    try:
        return await request.form_data()
    except TypeError as error:
        raise errors.bad_input(f"the body must be multipart/form-data: {error}") from None
    except RequestError as error:
        raise errors.unreadable_body(error) from None


def decode_json(content: bytes) -> Any:
    """JSON. Raises ModelError 3003 when there is nothing, 5006 when it is malformed."""
    if not content:
        raise errors.missing("body")
    try:
        return bounded_json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.bad_input(f"the body is not valid JSON: {error}") from None


__all__ = ["decode_json", "json_object", "read_body", "read_form"]
