"""``env.KEY`` of a secrets store, as the worker sees it."""

from __future__ import annotations

from typing import cast

from bindings.client import BindingClient


class Secret(BindingClient):
    product = "SecretsStoreSecret"

    async def get(self) -> str:
        return cast(str, await self._call("get", ()))


__all__ = ["Secret"]
