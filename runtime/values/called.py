"""Members of objects that are called like a method of dict's: ``(await env.KV.list()).keys``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


class _Called:
    """What it is called for, besides what it is."""

    _method: Callable[[], object]

    def __call__(self) -> object:
        return self._method()


def called(own: object, method: Callable[[], object]) -> object:
    """A copy of a list or dict, whose call is ``method()``."""
    kind: type = type(own)
    made: object = _with_call(kind)(own)
    object.__setattr__(made, "_method", method)
    return made


@cache
def _with_call(kind: type) -> type[Any]:
    return type(kind.__name__, (_Called, kind), {})


__all__ = ["called"]
