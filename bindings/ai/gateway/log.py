"""One request's log in an AI Gateway: the fields of Cloudflare's ``AiGatewayLog``, as JSON.

Neither headers nor credentials are ever in it: a log is made of the model's inputs and of its answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec

from bindings.ai.answers.answer import StreamStats
from bindings.ai.errors import ModelError, bad_input
from bindings.ai.gateway.options import MAX_METADATA, GatewayOptions, Scalar
from bindings.ai.gateway.store import GatewayStore

HEAD_BYTES = 4096  # of a request, and of its answer, that a log shows
PROVIDER = "workers-ai"


class Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may be changed in a log afterwards. None takes a value away."""

    score: Annotated[float, msgspec.Meta(ge=0, le=100)] | msgspec.UnsetType | None = msgspec.UNSET
    feedback: Literal[-1, 1] | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, Scalar | None] | msgspec.UnsetType | None = msgspec.UNSET


class Log:
    """Written once the answer is known; for a stream when it begins, and again when it ends.

    ``headers`` go with the answer, whether it is good or not.
    """

    def __init__(self, store: GatewayStore, model: str, inputs: Any, options: GatewayOptions, collected: bool) -> None:
        self._store, self._model, self._inputs, self._options = store, model, inputs, options
        self._started, self._at = time.perf_counter(), datetime.now(UTC)
        self._id = uuid.uuid4().hex if collected else ""
        self.headers = {"cf-aig-step": "0"}
        if collected:
            self.headers["cf-aig-log-id"] = self._id
        if options.event_id is not None:
            self.headers["cf-aig-event-id"] = options.event_id

    def answered(self, stats: StreamStats, body: bytes, *, cached: bool) -> None:
        self._write(
            self._request()
            | self._outcome(200, "application/json", cached=cached)
            | _response(body, len(body))
            | _tokens(stats)
        )

    def begun(self, *, cached: bool) -> None:
        """A stream: what is known before its end."""
        self._write(self._request() | self._outcome(200, "text/event-stream", cached=cached) | _response(b"", 0))

    def ended(self, stats: StreamStats, chunks: list[bytes], size: int, whole: bool) -> None:
        """A stream, to its end or not: ``size`` bytes of it, the first of which are in ``chunks``."""
        if self._id:
            head = b"".join(islice(chunks, HEAD_BYTES))
            self._write({"success": whole, "duration": self._duration()} | _response(head, size) | _tokens(stats))

    def refused(self, error: ModelError) -> None:
        body = msgspec.json.encode(error.binding())
        self._write(
            self._request() | self._outcome(error.status, "application/json", cached=False) | _response(body, len(body))
        )

    def _write(self, content: dict[str, Any]) -> None:
        if self._id:
            self._store.log(self._options.id, self._id, content)

    def _request(self) -> dict[str, Any]:
        body = msgspec.json.encode(self._inputs) if self._id else b""
        return {
            "id": self._id,
            "created_at": self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "provider": PROVIDER,
            "model": self._model,
            "path": f"run/{self._model}",
            "step": 0,
            "request_content_type": "application/json",
            "request_size": len(body),
            "request_head": _head(body),
            "request_head_complete": len(body) <= HEAD_BYTES,
            "event_id": self._options.event_id,
            "metadata": dict(islice(self._options.metadata.items(), MAX_METADATA)),
        }

    def _outcome(self, status: int, kind: str, *, cached: bool) -> dict[str, Any]:
        return {
            "status_code": status,
            "success": status < 400,
            "cached": cached,
            "duration": self._duration(),
            "response_content_type": kind,
            "tokens_in": 0,
            "tokens_out": 0,
            "cost": 0,
        }

    def _duration(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)


def parse_patch(changes: object) -> Mapping[str, Any]:
    """What ``patchLog`` may change. Raises ModelError 5006."""
    try:
        checked = msgspec.convert(changes, Patch)
    except msgspec.ValidationError as error:
        raise bad_input(f"patchLog: {error}") from None
    return {name: value for name in Patch.__struct_fields__ if (value := getattr(checked, name)) is not msgspec.UNSET}


def _tokens(stats: StreamStats) -> dict[str, int]:
    return {"tokens_in": stats.prompt_tokens, "tokens_out": stats.tokens}


def _response(head: bytes, size: int) -> dict[str, Any]:
    return {"response_size": size, "response_head": _head(head), "response_head_complete": size <= HEAD_BYTES}


def _head(body: bytes) -> str:
    return body[:HEAD_BYTES].decode("utf-8", "replace")


__all__ = ["Log", "parse_patch"]
