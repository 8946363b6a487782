"""The request that a module's ``on_fetch`` is handed: JavaScript's own on Cloudflare, not the SDK's around it."""

from __future__ import annotations

from runtime import web
from runtime.values import from_wire


class RawRequest(web.Request):
    """Its JSON is a proxy there: ``(await request.json()).name``, ``to_py()``. Here it is a dict, too."""

    __slots__ = ()

    async def json(self, **options: object) -> object:
        return from_wire(await super().json(**options))


__all__ = ["RawRequest"]
