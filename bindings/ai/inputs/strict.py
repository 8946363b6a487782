"""OpenAI's strict mode: an object has the properties that its schema names, and no others.

Objects of which the schema does not say otherwise are closed with ``additionalProperties: false``, at every depth.
Where several schemas describe one object together (``allOf``, or ``properties`` beside ``anyOf`` or ``$ref``), closing
each would forbid what the others ask for: those stay open.
"""

from __future__ import annotations

from typing import Any

from bindings.ai.engines.subschemas import Schema, changed
from bindings.ai.errors import bad_input

IN_PLACE_APPLICATORS = ("allOf", "anyOf", "oneOf", "$ref", "if", "then", "else", "dependentSchemas")
DEFINITIONS = ("$defs", "definitions")
LEFT_OPEN = ("if", "not", "propertyNames")  # closed, they would say something else


def closed(schema: Schema) -> Schema:
    """A copy of ``schema`` with its objects closed. Raises ModelError 5006."""
    try:
        return _Closing(schema).close(schema)
    except RecursionError:
        raise bad_input("the nesting of a schema is too deep") from None


class _Closing:
    def __init__(self, root: Schema) -> None:
        self._shared: set[str] = set()  # references to what describes an object together with others
        self._look(root, shared=False)

    def close(self, root: Schema) -> Schema:
        closed: Schema = self._closed(root, alone=True)
        return closed

    def _closed(self, node: object, *, alone: bool) -> Any:
        if not isinstance(node, dict):
            return node
        split = not alone or _is_split(node)

        def inner(one: object, keyword: str) -> object:
            if keyword in (*LEFT_OPEN, *DEFINITIONS):
                return one
            return self._closed(one, alone=not (split and keyword in IN_PLACE_APPLICATORS))

        copy = {**changed(node, inner), **self._definitions(node)}
        if _is_object(node) and "additionalProperties" not in node and not split:
            copy["additionalProperties"] = False
        return copy

    def _definitions(self, node: Schema) -> Schema:
        return {
            place: {
                name: self._closed(one, alone=f"#/{place}/{name}" not in self._shared)
                for name, one in node[place].items()
            }
            for place in DEFINITIONS
            if isinstance(node.get(place), dict)
        }

    def _look(self, node: object, *, shared: bool) -> None:
        if not isinstance(node, dict):
            return
        split = shared or _is_split(node)
        if split and isinstance(node.get("$ref"), str):
            self._shared.add(node["$ref"])
        changed(node, lambda one, keyword: self._look(one, shared=split and keyword in IN_PLACE_APPLICATORS))


def _is_object(node: Schema) -> bool:
    kind = node.get("type")
    return kind == "object" or "properties" in node or (isinstance(kind, list) and "object" in kind)


def _is_split(node: Schema) -> bool:
    """Whether one object is described in several places: a single ``allOf``, as Pydantic writes it, is one place."""
    places = [name for name in IN_PLACE_APPLICATORS if name in node]
    if not places:
        return False
    several = isinstance(node.get("allOf"), list) and len(node["allOf"]) > 1
    return several or len(places) > 1 or _is_object(node)


__all__ = ["closed"]
