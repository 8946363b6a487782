"""``env``: the worker's bindings, by attribute or by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import Any

from runtime.isolate import ambient
from runtime.isolate.calls.line import Line
from runtime.isolate.remote import Caller


class Env:
    """Read-only. A missing name raises with the names that exist; ``repr`` shows names, never values."""

    def __init__(self, bindings: dict[str, Any]) -> None:
        object.__setattr__(self, "_bindings", bindings)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._bindings[name]
        except KeyError:
            raise AttributeError(self._missing(name), name=name, obj=self) from None

    def __getitem__(self, name: str) -> Any:
        try:
            return self._bindings[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"env.{name} cannot be set: bindings come from the configuration")

    def __contains__(self, name: object) -> bool:
        return name in self._bindings

    def __iter__(self) -> Iterator[str]:
        return iter(self._bindings)

    def __len__(self) -> int:
        return len(self._bindings)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._bindings]

    def get(self, name: str, default: Any = None) -> Any:
        return self._bindings.get(name, default)

    def keys(self) -> list[str]:
        return list(self._bindings)

    def _missing(self, name: str) -> str:
        known = f"it has: {', '.join(sorted(self._bindings))}" if self._bindings else "it has none"
        return f"env has no binding {name!r}; {known}. Bindings are named in wrangler.toml"

    def __repr__(self) -> str:
        return f"<env {', '.join(self._bindings)}>"


def build(table: Sequence[Sequence[Any]], line: Line) -> Env:
    """``table`` rows are [name, "module:Class" of the worker's half, its arguments]. Those that ``ambient`` does not
    list are none of ``env``'s."""

    def made(name: str, client: str, args: dict[str, Any]) -> Any:
        return resolve_name(client)(name, Caller(line.channel, name, line), **args)

    found = [row for row in table if row[0].startswith((ambient.PREFIX, ambient.EXPORT))]
    ambient.install({row[0].removeprefix(ambient.PREFIX): partial(made, *row) for row in found})
    return Env({row[0]: made(*row) for row in table if ambient.is_listed(row[0])})
