"""The types of JavaScript that a worker meets as Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SAFE_INTEGER = 2**53 - 1  # from here on, in magnitude, an int goes over as a BigInt


class JsDict(dict[str, Any]):
    """A plain object: a dict whose keys are attributes too.

    A key that is called like a method of dict (``keys``, ``items``, ``get``) is had as an item alone.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_py(self, **_: object) -> dict[str, Any]:
        """Plain dicts and lists, all the way down, as Pyodide's proxies give them."""
        return {key: _plain(value) for key, value in self.items()}


class JsBigInt(int):
    """An int that was a BigInt, and goes back as one whatever its size."""


class JsException(Exception):
    """An error of JavaScript's: ``str(error)`` is ``name: message``. Its other ``fields`` are attributes."""

    def __init__(self, message: str = "", name: str = "Error", stack: str = "", **fields: object) -> None:
        self.message, self.name, self.stack = message, name, stack or f"{name}: {message}"
        super().__init__(message)
        self.__dict__.update({key: value for key, value in fields.items() if key not in _OWN})

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


_OWN = frozenset((*dir(Exception), "message", "name", "stack"))  # what no field may replace


def _plain(value: object) -> object:
    if isinstance(value, JsDict):
        return value.to_py()
    return list(_plain_items(value)) if isinstance(value, list) else value


def _plain_items(values: list[Any]) -> Iterator[object]:
    return map(_plain, values)


__all__ = ["SAFE_INTEGER", "JsBigInt", "JsDict", "JsException"]
