"""What a worker's ``tail`` is handed: it is made in the isolate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.values.objects import JsDict


class TraceItems(list[Any]):
    """A list of objects: ``events[0].event.request.url``, or ``events[0]["event"]["request"]["url"]``."""

    def __init__(self, items: Sequence[Any]) -> None:
        super().__init__(map(_object, items))

    def to_py(self, **_: object) -> list[Any]:
        """Plain dicts and lists, as Pyodide's proxies give them."""
        return [item.to_py() for item in self]

    def outcome(self, returned: object) -> None:
        """For the runtime: nothing comes of it."""


def _object(value: object) -> object:
    if isinstance(value, dict):
        return JsDict({key: _object(item) for key, item in value.items()})
    return list(map(_object, value)) if isinstance(value, list) else value


__all__ = ["TraceItems"]
