"""Recordings and images as inputs, in every form a client may send them (docs/reference/workers-ai.md#run, #tasks).

Over REST the body itself may be the file. Inside JSON it is an array of byte values or base64, alone or under
``body`` beside a ``contentType``. A worker's binding sends bytes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from bindings.ai import errors
from bindings.ai.error_table import NOT_BASE64
from bindings.ai.errors import bad_input
from bindings.ai.inputs import checks
from runtime.errors import RequestError
from runtime.web import Request

FILE_TYPES = ("audio/", "image/", "video/")


async def object_or_file(request: Request) -> dict[str, Any] | bytes:
    """The body of a request whose model takes files: a JSON object where it is one, else the bytes.

    A client that says JSON must send it. Raises ModelError 3003, 3006, 5006.
    """
    kind = (request.headers.get("content-type") or "").lower()
    try:
        data = await request.bytes()
    except RequestError as error:
        raise errors.unreadable_body(error) from None
    if not data:
        raise errors.missing("body")
    return data if kind.startswith(FILE_TYPES) else _object(data, certain="json" in kind)


def _object(data: bytes, *, certain: bool) -> dict[str, Any] | bytes:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if certain:
            raise bad_input(f"the body is not valid JSON: {error}") from None
        return data
    if not isinstance(body, dict):
        raise bad_input(checks.mismatch("/", body, "object"))
    return body


def file_of(value: object, at: str) -> bytes:
    """The bytes of an input. Raises ModelError 5006, or 5004 for what should be base64 and is not."""
    if isinstance(value, dict) and "body" in value:
        value, at = value["body"], f"{at}/body"
    if isinstance(value, bytes):
        data = value
    elif isinstance(value, str):
        data = _decoded(value.partition(",")[2] if value.startswith("data:") else value)
    elif isinstance(value, list):
        data = _bytes(value, at)
    else:
        raise bad_input(checks.mismatch(at, value, "array,string"))
    if not data:
        raise bad_input(f"Length of '{at}' must be >= 1")
    return data


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise errors.ModelError(NOT_BASE64) from None


def _bytes(numbers: list[Any], at: str) -> bytes:
    try:
        return bytes(numbers)
    except (TypeError, ValueError):
        raise bad_input(f"'{at}' must hold integers between 0 and 255") from None


__all__ = ["file_of", "object_or_file"]
