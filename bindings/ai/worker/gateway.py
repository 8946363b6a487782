"""``env.AI.gateway(id)``, the worker's half, in the isolate: a gateway's logs, its address, its universal ``run``.

The host's half, which answers these calls in the supervisor, is ``bindings.ai.methods.gateway``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bindings.ai.worker.values import Result, extra_headers, plain, plain_options
from runtime.web import Response


class AIGateway:
    """``call(method, *args)`` calls the host's half; ``respond`` makes a ``Response`` of such a call."""

    def __init__(
        self, id: str, call: Callable[..., Awaitable[Any]], respond: Callable[..., Awaitable[Response]]
    ) -> None:
        self._id, self._call, self._respond = str(id), call, respond

    async def get_log(self, log_id: str) -> Result:
        """The log that ``env.AI.aiGatewayLogId`` names. Raises AiGatewayLogNotFound, AiGatewayInternalError."""
        return Result(await self._call("gateway_log", self._id, str(log_id)))

    async def patch_log(self, log_id: str, data: object) -> None:
        """Set ``score`` (0 to 100), ``feedback`` (1 or -1) or ``metadata``; None takes a value away."""
        await self._call("gateway_patch", self._id, str(log_id), plain(data, "data"))

    async def get_url(self, provider: str | None = None) -> str:
        """Where this gateway answers for ``provider``, over HTTP."""
        return str(await self._call("gateway_url", self._id, provider))

    async def run(self, data: object, options: object = None) -> Response:
        """The answer to the first of ``data``, requests ``{provider, endpoint, headers, query}``, that succeeds.

        ``options``: ``gateway`` (what ``env.AI.run`` takes, without the id), ``extraHeaders``, ``signal``.
        """
        call_options = plain_options(options)
        gateway = plain(call_options.get("gateway") or {}, "gateway")
        return await self._respond(
            call_options.get("signal"),
            "gateway_run",
            self._id,
            plain(data, "data"),
            gateway,
            extra_headers(call_options),
        )

    def __repr__(self) -> str:
        return f"<AI gateway {self._id}>"

    getLog = get_log
    patchLog = patch_log
    getUrl = get_url


__all__ = ["AIGateway"]
