"""What every worker has without its configuration naming it: globals of the module ``js`` that a product brings.

A row of the bindings' table whose name begins with ``js.`` is one. It is made when the worker first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable

PREFIX = "js."
_makers: dict[str, Callable[[], object]] = {}
_made: dict[str, object] = {}


def install(makers: dict[str, Callable[[], object]]) -> None:
    """By name, without the prefix. Those of another version go."""
    _makers.clear()
    _made.clear()
    _makers.update(makers)


def find(name: str) -> object | None:
    """None: there is none of that name."""
    if name not in _made and name in _makers:
        _made[name] = _makers[name]()
    return _made.get(name)


__all__ = ["PREFIX", "find", "install"]
