"""What Workers AI says when it refuses: one error, shown three ways.

``ModelError`` is the model layer's refusal, in the forms of docs/reference/workers-ai.md#errors: REST's envelope, whose
message carries the error's name and the request's id; the bare code and text that a worker's binding gets; the
envelope again as the last event of a stream under way. ``EdgeError`` is what the layer in front of it says
(authentication, routes): the other key order, ``result`` null, no request id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.ai import error_table as table
from bindings.ai.engine.protocol import EngineError
from runtime.api import envelope
from runtime.api.error_code import ErrorCode
from runtime.errors import PilotError, RequestError


class ModelError(PilotError):
    """A refusal: a ``row`` of the table of errors, and the ``description`` of this one.

    ``headers``: what goes with the answer beside the request's id.
    """

    headers: Mapping[str, str] = {}

    def __init__(self, row: ErrorCode, description: str = "") -> None:
        self.row, self.description = row, description or row.text
        self.code, self.status, self.name = row.code, row.status, row.name
        super().__init__(f"{self.code}: {self.description}")

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The REST body, in the service's own key order."""
        message = f"AiError: {self.name}: {self.description} ({request_id})"
        errors = [{"message": message, "code": self.code}]
        return {"errors": errors, "success": False, "result": {}, "messages": []}

    def binding(self) -> dict[str, Any]:
        """The body a binding gets: a worker sees ``"<code>: <description>"`` under the name ``AiError``."""
        return {
            "internalCode": self.code,
            "message": f"AiError: {self.description}",
            "name": "AiError",
            "description": self.description,
        }


class AIGatewayError(ModelError):
    """A refusal of an AI Gateway's own: its text stands alone, without name and request id."""

    def envelope(self, request_id: str) -> dict[str, Any]:
        return self.binding()

    def binding(self) -> dict[str, Any]:
        errors = [{"message": self.description, "code": self.code}]
        return {"errors": errors, "success": False, "result": {}, "messages": []}


class EdgeError(PilotError):
    """A refusal before the model layer: ``body`` as the service writes it."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        super().__init__(body["errors"][0]["message"])

    def envelope(self, request_id: str) -> dict[str, Any]:
        return self.body


# The model layer


def of_engine(error: EngineError) -> ModelError:
    return ModelError(error.row, error.description)


def no_such_model(model: str, hint: str = "") -> ModelError:
    text = table.NO_SUCH_MODEL.describe(model=model)
    return ModelError(table.NO_SUCH_MODEL, f"{text}: {hint}" if hint else text)


def bad_input(detail: str) -> ModelError:
    return ModelError(table.BAD_INPUT, table.BAD_INPUT.describe(detail=detail))


def missing(part: str) -> ModelError:
    """``part``: "body", or a header's name."""
    return ModelError(table.MISSING_PART, table.MISSING_PART.describe(part=part))


def too_large() -> ModelError:
    return ModelError(table.TOO_LARGE)


def unreadable_body(error: RequestError) -> ModelError:
    """Of a body that is larger than allowed, or that did not come whole."""
    return too_large() if error.status == 413 else bad_input(error.what)


def lora_unsupported(model: str) -> ModelError:
    return ModelError(table.NO_LORA, table.NO_LORA.describe(model=model))


def capacity() -> ModelError:
    return ModelError(table.CAPACITY)


def batch_lost() -> ModelError:
    """The queue's file cannot be read or written: the terminal says why."""
    return ModelError(table.INTERNAL, "The batch queue cannot be used: its disk is full or broken")


def finetunes_lost() -> ModelError:
    """The same of the fine-tunes' file."""
    return ModelError(table.INTERNAL, "The fine-tunes cannot be used: their disk is full or broken")


def rate_limited() -> AIGatewayError:
    return AIGatewayError(table.RATE_LIMITED)


def timed_out(milliseconds: float) -> ModelError:
    """No first byte within ``requestTimeoutMs``."""
    return ModelError(table.TIMEOUT, table.TIMEOUT.describe(milliseconds=f"{milliseconds:g}"))


def retired(model: str, date: str) -> ModelError:
    return ModelError(table.RETIRED, table.RETIRED.describe(model=model, date=date))


def internal() -> ModelError:
    """Ours or the engine's failure. No page lists a code for it; 3043 is what clients report seeing."""
    return ModelError(table.INTERNAL)


# The layer in front of it (docs/reference/workers-ai.md#credentials); each answer has a key order of its own


def wrong_token() -> EdgeError:
    return EdgeError(table.WRONG_TOKEN.status, envelope.failure([_shown(table.WRONG_TOKEN)]))


def no_credentials() -> EdgeError:
    return _refused(table.NO_CREDENTIALS, _shown(table.NO_CREDENTIALS))


def malformed_credentials() -> EdgeError:
    chain = [_shown(table.INVALID_AUTHORIZATION)]
    return _refused(table.INVALID_HEADERS, {**_shown(table.INVALID_HEADERS), "error_chain": chain})


def no_route(path: str) -> EdgeError:
    return _refused(table.UNROUTABLE, _shown(table.UNROUTABLE, path=path), _shown(table.NO_ROUTE))


def wrong_method(method: str, allowed: str) -> EdgeError:
    error = _shown(table.WRONG_METHOD, method=method, allowed=allowed)
    return _refused(table.WRONG_METHOD, error, headers={"allow": allowed})


def _shown(row: ErrorCode, **fields: str) -> dict[str, Any]:
    return {"code": row.code, "message": row.describe(**fields)}


def _refused(row: ErrorCode, *errors: dict[str, Any], headers: dict[str, str] | None = None) -> EdgeError:
    return EdgeError(row.status, gateway_body(*errors), headers)


def gateway_body(*errors: dict[str, Any]) -> dict[str, Any]:
    """A refusal's body, in the key order that most of this layer's have."""
    return {"success": False, "errors": list(errors), "messages": [], "result": None}


__all__ = [
    "AIGatewayError",
    "EdgeError",
    "ModelError",
    "bad_input",
    "batch_lost",
    "capacity",
    "gateway_body",
    "internal",
    "lora_unsupported",
    "malformed_credentials",
    "missing",
    "no_credentials",
    "no_route",
    "no_such_model",
    "of_engine",
    "rate_limited",
    "retired",
    "timed_out",
    "too_large",
    "unreadable_body",
    "wrong_method",
    "wrong_token",
]
