"""How long may it take to hold a value against a JSON Schema? The schema comes from a stranger.

A validator follows every ``$ref`` each time it meets one: thirty definitions that each name the next one twice are
a billion steps. So the references are followed here first, up to a bound. One that leads back to where it came
from is followed again for each level of the value: ``loops`` of them make at most ``loops ** depth`` visits.
"""

from __future__ import annotations

from typing import Any

MAX_VISITS = 500_000  # of about 60 ns each
MAX_NODES = 5_000  # subschemas, references followed
DYNAMIC_REFS = ("$dynamicRef", "$recursiveRef")  # references that are not looked up here
ID_KEYWORDS = ("$id", "id")  # a schema inside another, to which ``#`` means itself


class _Unbounded(Exception):
    """The number of visits cannot be bounded beforehand."""


def is_bounded(schema: object, value: object) -> bool:
    """Whether holding ``value`` against ``schema`` takes no more than ``MAX_VISITS`` visits."""
    try:
        walk = _Walk(schema)
        walk.visit(schema, ())
        return walk.nodes * walk.loops ** _depth(value) <= MAX_VISITS if walk.loops > 1 else True
    except (_Unbounded, RecursionError):
        return False


class _Walk:
    def __init__(self, root: object) -> None:
        self._root, self.nodes, self.loops = root, 0, 0

    def visit(self, node: object, path: tuple[str, ...]) -> None:
        """``path``: the references that were followed to come here."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Unbounded
        if isinstance(node, dict):
            self._follow(node, path)
            for name, inner in node.items():
                if node is not self._root or name not in ("$defs", "definitions"):  # those: by reference alone
                    self.visit(inner, path)
        elif isinstance(node, list):
            for inner in node:
                self.visit(inner, path)

    def _follow(self, node: dict[str, Any], path: tuple[str, ...]) -> None:
        unresolved = DYNAMIC_REFS if node is self._root else (*DYNAMIC_REFS, *ID_KEYWORDS)
        if any(isinstance(node.get(name), str) for name in unresolved):
            raise _Unbounded
        ref = node.get("$ref")
        if not isinstance(ref, str):
            return
        if ref == "#" or ref in path:
            self.loops += 1
        else:
            self.visit(self._resolve(ref), (*path, ref))

    def _resolve(self, ref: str) -> object:
        """What a reference such as ``#/$defs/name`` points at; other kinds of references are not looked up."""
        if not ref.startswith("#/"):
            raise _Unbounded
        target = self._root
        for name in ref[2:].split("/"):
            name = name.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        if target is None:
            raise _Unbounded
        return target


def _depth(value: object) -> int:
    """How deep arrays and objects are nested."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


__all__ = ["is_bounded"]
