"""How long may it take to hold a value against a JSON Schema? The schema comes from a stranger.

A validator follows every ``$ref`` each time it meets one: thirty definitions that each name the next one twice are
a billion steps. So the references are followed here first, up to a bound. One that leads back to where it came
from is followed again for each level of the value: ``loops`` of them make at most ``loops ** depth`` visits.
"""

from __future__ import annotations

from typing import Any

STEPS = 500_000  # visits, of about 60 ns each
NODES = 5_000  # subschemas, references followed
DYNAMIC = ("$dynamicRef", "$recursiveRef")  # references that are not looked up here
NAMES = ("$id", "id")  # a schema inside another, to which ``#`` means itself


class _TooMuch(Exception):
    """More than can be told beforehand."""


def bounded(schema: Any, value: Any) -> bool:
    """Whether holding ``value`` against ``schema`` takes no more than ``STEPS`` visits."""
    try:
        walk = _Walk(schema)
        walk.visit(schema, ())
        return walk.nodes * walk.loops ** _depth(value) <= STEPS if walk.loops > 1 else True
    except (_TooMuch, RecursionError):
        return False


class _Walk:
    def __init__(self, root: Any) -> None:
        self._root, self.nodes, self.loops = root, 0, 0

    def visit(self, node: Any, path: tuple[str, ...]) -> None:
        """``path``: the references that were followed to come here."""
        self.nodes += 1
        if self.nodes > NODES:
            raise _TooMuch
        if isinstance(node, dict):
            self._follow(node, path)
            for name, inner in node.items():
                if node is not self._root or name not in ("$defs", "definitions"):  # those: by reference alone
                    self.visit(inner, path)
        elif isinstance(node, list):
            for inner in node:
                self.visit(inner, path)

    def _follow(self, node: dict[str, Any], path: tuple[str, ...]) -> None:
        strange = DYNAMIC if node is self._root else (*DYNAMIC, *NAMES)
        if any(isinstance(node.get(name), str) for name in strange):
            raise _TooMuch
        where = node.get("$ref")
        if not isinstance(where, str):
            return
        if where == "#" or where in path:
            self.loops += 1
        else:
            self.visit(self._at(where), (*path, where))

    def _at(self, where: str) -> Any:
        """What a pointer such as ``#/$defs/name`` points at; other kinds of references are not looked up."""
        if not where.startswith("#/"):
            raise _TooMuch
        found = self._root
        for name in where[2:].split("/"):
            name = name.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            raise _TooMuch
        return found


def _depth(value: Any) -> int:
    """How deep arrays and objects are nested."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


__all__ = ["bounded"]
