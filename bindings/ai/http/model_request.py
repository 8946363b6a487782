"""What a request to a route under ``/v1`` names: a model, the inputs beside it, and the options of the run."""

from __future__ import annotations

from typing import Any, NamedTuple

from bindings.ai.errors import bad_input
from bindings.ai.gateway.options import merge_gateway
from bindings.ai.http.bodies import json_object
from bindings.ai.inputs import checks
from bindings.ai.inputs.checks import Fields
from runtime.web import Request


class ModelRequest(NamedTuple):
    """``fields`` has no nulls, which mean absent."""

    model: str
    fields: Fields
    options: dict[str, Any]

    @classmethod
    async def read(cls, request: Request) -> ModelRequest:
        """From a JSON body. Raises ModelError 3003, 3006, 5006."""
        return cls.from_fields(await json_object(request), request)

    @classmethod
    def from_fields(cls, body: Fields, request: Request) -> ModelRequest:
        """The model's name is no input, nor are the service's own ``options``. Raises ModelError 5006."""
        model, options = body.get("model"), body.get("options")
        if not isinstance(model, str) or not model:
            raise bad_input(
                checks.absent(body, "/", "model") if not model else checks.mismatch("/model", model, "string")
            )
        fields = {name: value for name, value in body.items() if name not in ("model", "options") and value is not None}
        options = options if isinstance(options, dict) else {}
        return cls(model, fields, merge_gateway(options, request.headers.raw()))


__all__ = ["ModelRequest"]
