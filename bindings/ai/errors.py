"""What Workers AI says when it refuses: one error, shown three ways.

``AiError`` is the model layer's refusal (contract §1.7). REST wraps it in an envelope whose message carries
the error's name and the request's id; a worker's binding gets the bare code and text; a stream under way gets
the envelope as its last event. ``GatewayError`` is what the layer in front of it says (authentication,
routes): the other key order, ``result`` null, no request id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.ai.engine.protocol import EngineError
from runtime.errors import PilotError


class AiError(PilotError):
    """A refusal with Workers AI's ``code``, HTTP ``status``, ``name`` (REST shows it) and ``description``.

    ``headers``: what goes with the answer beside the request's id.
    """

    headers: Mapping[str, str] = {}

    def __init__(self, code: int, status: int, name: str, description: str) -> None:
        self.code, self.status, self.name, self.description = code, status, name, description
        super().__init__(f"{code}: {description}")

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


class AIGatewayError(AiError):
    """A refusal of an AI Gateway's own: its text stands alone, without name and request id (contract §1.7)."""

    def __init__(self, code: int, status: int, description: str) -> None:
        super().__init__(code, status, "InferenceUpstreamError", description)

    def envelope(self, request_id: str) -> dict[str, Any]:
        return self.binding()

    def binding(self) -> dict[str, Any]:
        errors = [{"message": self.description, "code": self.code}]
        return {"errors": errors, "success": False, "result": {}, "messages": []}


class GatewayError(PilotError):
    """A refusal before the model layer: ``body`` as the service writes it."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        super().__init__(body["errors"][0]["message"])

    def envelope(self, request_id: str) -> dict[str, Any]:
        return self.body


# The model layer


def of_engine(error: EngineError) -> AiError:
    return AiError(error.code, error.status, error.name, error.description)


def no_such_model(model: str, hint: str = "") -> AiError:
    text = f"No such model {model} or task"
    return AiError(5007, 400, "No such model", f"{text}: {hint}" if hint else text)


def bad_input(detail: str) -> AiError:
    return AiError(5006, 400, "Bad input", f"Error: {detail}")


def missing_body() -> AiError:
    return AiError(3003, 400, "AiError", "Request is missing headers or body: body")


def too_large() -> AiError:
    return AiError(3006, 413, "AiError", "Request is too large")


def lora_unsupported(model: str) -> AiError:
    return AiError(5005, 405, "AiError", f"The model {model} does not support LoRa inference")


def capacity() -> AiError:
    return AiError(3040, 429, "AiError", "Capacity temporarily exceeded, please try again.")


def batch_lost() -> AiError:
    """The queue's file cannot be read or written: the terminal says why."""
    return AiError(3043, 500, "AiError", "The batch queue cannot be used: its disk is full or broken")


def finetunes_lost() -> AiError:
    """The same of the fine-tunes' file."""
    return AiError(3043, 500, "AiError", "The fine-tunes cannot be used: their disk is full or broken")


def rate_limited() -> AIGatewayError:
    return AIGatewayError(2003, 429, "Rate limited")


def timed_out(milliseconds: float) -> AiError:
    """No first byte within ``requestTimeoutMs``."""
    return AiError(3007, 408, "AiError", f"Request timeout: no answer within {milliseconds:g} ms")


def retired(model: str, date: str) -> AiError:
    text = f"{model} was deprecated on {date}. See the model catalog for alternatives"
    return AiError(5028, 410, "Model has been deprecated", text)


def internal() -> AiError:
    """Ours or the engine's failure. The contract lists no code for it; 3043 is what clients report seeing."""
    return AiError(3043, 500, "AiError", "Internal server error")


# The layer in front of it (contract §1.2); each answer has a key order of its own


def wrong_token() -> GatewayError:
    errors = [{"code": 10000, "message": "Authentication error"}]
    return GatewayError(401, {"result": None, "success": False, "errors": errors, "messages": []})


def no_credentials() -> GatewayError:
    missing = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
    return _refused(400, {"code": 9106, "message": missing})


def malformed_credentials() -> GatewayError:
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    return _refused(400, {"code": 6003, "message": "Invalid request headers", "error_chain": chain})


def foreign_page(origin: str) -> GatewayError:
    """A browser's, which sends such a request for any page: the service has no such refusal."""
    text = f'Pages of {origin} may not use this server: send a key, or name them in [pilot] cors = ["{origin}"]'
    return _refused(403, {"code": 9109, "message": text})


def no_route(path: str) -> GatewayError:
    could_not = f"Could not route to {path}, perhaps your object identifier is invalid?"
    no_route = {"code": 7000, "message": "No route for that URI"}
    return _refused(404, {"code": 7003, "message": could_not}, no_route)


def wrong_method(method: str, allowed: str) -> GatewayError:
    error = {"code": 10405, "message": f"Method {method} not allowed, use {allowed}"}
    return _refused(405, error, headers={"allow": allowed})


def _refused(status: int, *errors: dict[str, Any], headers: dict[str, str] | None = None) -> GatewayError:
    body = {"success": False, "errors": list(errors), "messages": [], "result": None}
    return GatewayError(status, body, headers)


__all__ = [
    "AIGatewayError",
    "AiError",
    "GatewayError",
    "bad_input",
    "batch_lost",
    "capacity",
    "foreign_page",
    "internal",
    "lora_unsupported",
    "malformed_credentials",
    "missing_body",
    "no_credentials",
    "no_route",
    "no_such_model",
    "of_engine",
    "rate_limited",
    "retired",
    "timed_out",
    "too_large",
    "wrong_method",
    "wrong_token",
]
