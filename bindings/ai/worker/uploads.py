"""A body as an input: ``{"audio": {"body": stream, "contentType": "audio/wav"}}``.

Facts: docs/reference/workers-ai.md#the-binding.

At most one input may be one. It is read here and goes to the model as bytes under the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.ai.worker.failures import AiInternalError
from runtime.web import Blob, FormData, ReadableStream, Response

Body = ReadableStream | FormData | Blob
MAX_BODY_BYTES = 32 * 1024 * 1024  # a call and its inputs are one frame


def body_keys(inputs: object) -> list[str]:
    """The keys whose values are bodies."""
    if not isinstance(inputs, Mapping):
        return []
    return [str(key) for key, value in inputs.items() if isinstance(value, Mapping) and _is_body(value.get("body"))]


async def read(inputs: Mapping[str, Any], keys: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with the body read. Raises ``AiInternalError`` for what upstream refuses before it asks."""
    if len(keys) > 1:
        raise AiInternalError(f"Multiple ReadableStreams are not supported. Found streams in keys: [{', '.join(keys)}]")
    value = inputs[keys[0]]
    if not (kind := value.get("contentType")):
        raise AiInternalError("Content-Type is required with ReadableStream inputs")
    if isinstance(options.get("gateway"), Mapping) and options["gateway"].get("id"):
        raise AiInternalError("AI Gateway does not support ReadableStreams yet.")
    return {**inputs, keys[0]: {"body": await _bytes(value["body"]), "contentType": kind}}


def _is_body(value: object) -> bool:
    return isinstance(value, Body)


async def _bytes(body: Body) -> bytes:
    stream = body if isinstance(body, ReadableStream) else Response(body).body
    parts, size = [], 0
    async for part in stream if stream is not None else ():  # type: ignore[union-attr]
        size += len(part)
        if size > MAX_BODY_BYTES:
            await stream.aclose()  # type: ignore[union-attr]
            raise AiInternalError(f"The body is larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


__all__ = ["body_keys", "read"]
