"""The names in ``env`` that a table of the configuration asks for."""

from __future__ import annotations


def names_in(value: object) -> list[str]:
    """The names that most tables put into ``env``: their ``binding``, or ``name`` where there is none."""
    if isinstance(value, list):
        return [name for item in value for name in names_in(item)]
    if not isinstance(value, dict):
        return []
    for nested in ("bindings", "producers"):
        if nested in value:
            return names_in(value[nested])
    name = value.get("binding", value.get("name"))
    return [name] if isinstance(name, str) else []


__all__ = ["names_in"]
