"""``env.AI``, the host's half, in the supervisor: runs the calls that a worker makes.

The worker's half, which makes them, is ``bindings.ai.worker.ai``, in the isolate. Each of its calls names one of
``AIBinding``'s methods, a coroutine that returns plain data or a ``HostStream``. A ``ModelError`` reaches the worker
under its name, with its code and status.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bindings.ai.catalog.resolve import automatic_engine
from bindings.ai.catalog.search import search_models
from bindings.ai.errors import AIGatewayError, ModelError, bad_input, no_such_model
from bindings.ai.gateway.options import encode_headers, merge_gateway
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.methods.markdown import MarkdownMethods
from bindings.ai.methods.result import CallResult, call_result
from bindings.ai.service import AIService, new_request_id
from bindings.base import CallError, HostStream

TAG_PATTERN = re.compile(r"[A-Za-z0-9:\-./@]{1,50}")
MAX_TAGS = 5

Method = Callable[..., Awaitable[Any]]  # (request_id, *the worker's arguments)


class AIBinding:
    """One ``[ai] binding``."""

    client = "bindings.ai.worker.ai:AI"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, service: AIService, url: str = "") -> None:
        self.name, self._service = name, service
        self._gateway, markdown = GatewayMethods(service, url), MarkdownMethods(service.markdown)
        self._methods: dict[str, Method] = {
            "run": self._run,
            "models": self._models,
            "gateway_log": self._gateway.read_log,
            "gateway_patch": self._gateway.patch_log,
            "gateway_run": self._gateway.run,
            "gateway_url": self._gateway.url,
            "markdown": markdown.transform,
            "markdown_supported": markdown.supported,
        }

    def describe(self) -> tuple[str, str]:
        return "Workers AI", f"engine: {self._service.settings.engine or automatic_engine()}"

    async def call(self, method: str, args: Sequence[Any]) -> Any:
        """One call of the worker's half. Raises CallError."""
        if (handle := self._methods.get(method)) is None:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        request_id = new_request_id()
        try:
            return await handle(request_id, *args)
        except ModelError as error:
            name = "InferenceUpstreamError" if isinstance(error, AIGatewayError) else "AiError"
            raise CallError(
                name,
                str(error),
                code=error.code,
                status=error.status,
                description=error.description,
                request_id=request_id,
                body=error.binding(),
                headers=dict(error.headers),
            ) from None

    async def _run(
        self, request_id: str, model: object = None, inputs: object = None, options: object = None, headers: Any = None
    ) -> CallResult | HostStream:
        """``{"result", "headers"}``, or a stream whose meta has the headers. ``headers`` are the call's own."""
        if not isinstance(model, str):
            raise no_such_model(repr(model)[:100])
        options = options if isinstance(options, dict) else {}
        if headers:
            options = merge_gateway(options, encode_headers(headers))
        _check_tags(options.get("tags"))
        return call_result(await self._service.run(model, inputs, options, request_id=request_id))

    async def _models(self, request_id: str, params: object = None) -> list[Any]:
        """The catalog's entries. As upstream, an error of anything but ``run`` has no code."""
        try:
            return search_models(self._service.catalog, params if isinstance(params, dict) else {}).items
        except ModelError as error:
            raise CallError("AiInternalError", error.description, status=error.status) from None


def _check_tags(tags: object) -> None:
    """Upstream's limits (docs/reference/workers-ai.md#what-a-worker-sees)."""
    if tags is None:
        return
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise bad_input(f"options.tags must be an array of at most {MAX_TAGS} strings")
    for tag in tags:
        if not isinstance(tag, str) or not TAG_PATTERN.fullmatch(tag):
            raise bad_input(f"options.tags: {tag!r:.60} is not 1 to 50 of the characters A-Z a-z 0-9 : - . / @")


__all__ = ["AIBinding"]
