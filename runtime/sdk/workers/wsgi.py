"""``from workers import wsgi``: the module ``wsgi``."""

from wsgi import entrypoint, fetch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["entrypoint", "fetch"]
