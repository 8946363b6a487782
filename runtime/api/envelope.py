"""The envelope that Cloudflare's API puts around every answer; the key order is what it mostly sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def success(result: object, **more: object) -> dict[str, Any]:
    """``more`` stands beside the result, such as ``result_info``."""
    return {"result": result, "success": True, "errors": [], "messages": [], **more}


def failure(errors: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``errors``: ``{"code", "message"}`` each."""
    return {"result": None, "success": False, "errors": list(errors), "messages": []}


__all__ = ["failure", "success"]
