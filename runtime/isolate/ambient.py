"""What a worker has besides ``env``: globals of the module ``js`` that a product brings, members of ``ctx.exports``.

A row of the bindings' table whose name begins with ``js.`` is one, or with ``exports.``. It is made when the worker
first asks for it. One with a ``.`` in front has no name in the worker at all: only what an event is made into calls it.
"""

from __future__ import annotations

from collections.abc import Callable

PREFIX = "js."
EXPORT = "exports."
INTERNAL = "."
_UNLISTED = (PREFIX, EXPORT, INTERNAL)
_makers: dict[str, Callable[[], object]] = {}
_made: dict[str, object] = {}


def is_listed(name: str) -> bool:
    """Whether ``env`` has the binding of this name."""
    return not name.startswith(_UNLISTED)


def install(makers: dict[str, Callable[[], object]]) -> None:
    """By name: of globals without the prefix. Those of another version go."""
    _makers.clear()
    _made.clear()
    _makers.update(makers)


def find(name: str) -> object | None:
    """None: there is none of that name."""
    if name not in _made and name in _makers:
        _made[name] = _makers[name]()
    return _made.get(name)


__all__ = ["EXPORT", "INTERNAL", "PREFIX", "find", "install", "is_listed"]
