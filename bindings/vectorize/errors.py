"""What Vectorize says of a call it refuses: ``OPERATION_ERROR (code = N): text``.

Codes and texts are the service's where they are known; 40000 stands for those that are not.
https://developers.cloudflare.com/vectorize/platform/limits/
"""

from __future__ import annotations

from bindings.base import CallError

INDEX_NOT_FOUND = 3000
DUPLICATE_INDEX = 3002
INVALID = 40000
QUERY_DIMENSIONS = 40006
VECTOR_DIMENSIONS = 40012
METADATA_KEY = 40018
METADATA_SIZE = 40023


class VectorizeError(CallError):
    """``operation``: INDEX_GET, VECTOR_QUERY, VECTOR_INSERT, VECTOR_UPSERT, VECTOR_GET or VECTOR_DELETE."""

    def __init__(self, code: int, text: str, operation: str = "INDEX_GET") -> None:
        self.code, self.text, self.operation = code, text, operation
        super().__init__("Error", f"{operation}_ERROR (code = {code}): {text}")

    def during(self, operation: str) -> VectorizeError:
        return VectorizeError(self.code, self.text, operation)


__all__ = [
    "DUPLICATE_INDEX", "INDEX_NOT_FOUND", "INVALID", "METADATA_KEY", "METADATA_SIZE", "QUERY_DIMENSIONS",
    "VECTOR_DIMENSIONS", "VectorizeError",
]  # fmt: skip
