"""What a client may put into the batch queue. Facts: docs/reference/workers-ai.md#batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bindings.ai.errors import bad_input, too_large
from bindings.ai.inputs.checks import mismatch

MAX_BATCH_BYTES = 10_000_000  # as JSON


def is_batch(inputs: object, options: Mapping[str, Any]) -> bool:
    """Whether a ``run`` puts requests into the queue or asks about some."""
    if str(options.get("queueRequest")).lower() == "true":  # requests writes Python's True into a query
        return True
    return isinstance(inputs, dict) and bool(inputs.get("request_id"))


def requests_of(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of one batch, checked. Raises ModelError 5006, 3006."""
    requests = inputs.get("requests")
    if requests is None:
        raise bad_input("required properties at '/' are 'requests'")
    if not isinstance(requests, list):
        raise bad_input(mismatch("/requests", requests, "array"))
    if not requests:
        raise bad_input("Length of '/requests' must be >= 1")
    for number, request in enumerate(requests):
        _check(request, f"/requests/{number}")
    if len(msgspec.json.encode(requests)) > MAX_BATCH_BYTES:
        raise too_large()
    return requests


def _check(request: object, at: str) -> None:
    if not isinstance(request, dict):
        raise bad_input(mismatch(at, request, "object"))
    if request.get("stream") in (True, "true"):
        raise bad_input(f"'{at}/stream' cannot be true: a batch's answers are fetched whole")
    reference = request.get("external_reference")
    if reference is not None and not isinstance(reference, str):
        raise bad_input(mismatch(f"{at}/external_reference", reference, "string"))
    if request.get("request_id") or request.get("requests"):
        raise bad_input(f"'{at}' is itself a batch")


__all__ = ["is_batch", "requests_of"]
