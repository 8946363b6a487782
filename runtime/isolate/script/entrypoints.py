"""What of a script can be named from outside of it, besides its ``fetch``: classes, and handlers of other events."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, TypeGuard

DEFAULT = "Default"  # the class that requests and other events go to
_HANDLERS = ("scheduled", "queue", "email", "tail")


def entrypoints(module: ModuleType) -> dict[str, type[Any]]:
    """The classes that other workers, Durable Object namespaces and workflows can name: those of the script, or of its
    ``__all__``, that derive from one of the SDK's bases. A name with ``_`` in front is private."""
    bases = sys.modules["workers"].ENTRYPOINTS if "workers" in sys.modules else ()
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    found = [(name, getattr(module, name, None)) for name in names]
    return {name: value for name, value in found if _is_subclass(value, bases)}


def has_other_entries(module: ModuleType) -> bool:
    """Whether something can be called in it that is not ``fetch``."""
    if any(callable(getattr(module, name, None)) for word in _HANDLERS for name in (word, f"on_{word}")):
        return True
    return any(name != DEFAULT or _has_methods(cls) for name, cls in entrypoints(module).items())


def _is_subclass(value: object, bases: tuple[type[Any], ...]) -> TypeGuard[type[Any]]:
    return isinstance(value, type) and issubclass(value, bases) and value not in bases


def _has_methods(cls: type[Any]) -> bool:
    return any(callable(value) for name, value in vars(cls).items() if not name.startswith("_"))


__all__ = ["DEFAULT", "entrypoints", "has_other_entries"]
