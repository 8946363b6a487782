"""``response.js_object``: the object of ``js`` that shares all it has with one of ``workers``."""

from __future__ import annotations

from functools import cache
from typing import Any

import js  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path


def view(of: object) -> object:
    """Itself, where it is of ``js`` already."""
    cls = next(found for kind in type(of).__mro__ if (found := getattr(js, kind.__name__, None)) is not None)
    return of if isinstance(of, cls) else _view(of, cls)


def _view(of: object, cls: type) -> object:
    made = _sharing(cls)()
    object.__setattr__(made, "_of", of)
    if hasattr(made, "__dict__"):
        made.__dict__ = of.__dict__
    return made


@cache
def _sharing(cls: type) -> type:
    """``cls``, with the slots of ``_of``."""
    slots = [name for kind in cls.__mro__ for name in getattr(kind, "__slots__", ())]
    members: dict[str, Any] = {name: _shared(name) for name in slots}
    if "_headers" in members:
        members |= {"headers": property(lambda self: _view(self._of.headers, js.Headers)), "clone": _clone}
    return type(
        cls.__name__, (cls,), {"__slots__": ("_of",), "__module__": "js", "__init__": lambda self: None, **members}
    )


def _shared(name: str) -> property:
    return property(lambda self: getattr(self._of, name), lambda self, value: setattr(self._of, name, value))


def _clone(self: Any) -> object:
    return view(self._of.clone())


__all__ = ["view"]
