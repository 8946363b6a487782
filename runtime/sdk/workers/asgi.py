"""``from workers import asgi``: the module ``asgi``."""

from asgi import entrypoint, fetch, websocket  # type: ignore[import-not-found,unused-ignore]

__all__ = ["entrypoint", "fetch", "websocket"]
