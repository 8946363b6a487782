"""Options of the command line that products bring, known without importing a product: starting up stays as quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import click

from bindings import OPTIONS


class ProductOptions(click.Command):
    """A command that takes the options of ``bindings.OPTIONS`` under its name as well. Its function is handed their
    values by name, in one argument: ``product_options``."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, help_ = super().get_params(ctx)
        return [*own, *_options(self.name), help_]

    def invoke(self, ctx: click.Context) -> Any:
        names = [option.name for option in _options(self.name)]
        ctx.params["product_options"] = {name: ctx.params.pop(name) for name in names if name is not None}
        return super().invoke(ctx)


def words(command: str, values: Mapping[str, object]) -> Iterator[str]:
    """The options of ``command`` that were given, as another command line has them."""
    for option in _options(command):
        value = values[str(option.name)]
        if value is not None:
            yield from (option.opts[0], str(value))


def _options(command: str | None) -> Sequence[click.Option]:
    found: list[Mapping[str, Sequence[click.Option]]] = list(map(resolve_name, OPTIONS.values()))
    return [option for options in found for option in options.get(command or "", ())]


__all__ = ["ProductOptions", "words"]
