"""``env.LIMIT``, as the worker sees it."""

from __future__ import annotations

from bindings.client import BindingClient
from runtime.values import JsDict


class RateLimit(BindingClient):
    product = "RateLimit"

    async def limit(self, *args: object, **options: object) -> JsDict:
        """``limit(key="a")`` or ``limit({"key": "a"})``: ``{success}``."""
        return JsDict(success=await self._call("limit", args, options))


__all__ = ["RateLimit"]
