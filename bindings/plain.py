"""``[vars]`` and secrets: values that are simply there. The simplest binding, and the one to copy.

https://developers.cloudflare.com/workers/configuration/environment-variables/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from bindings.binding import EnvType
from runtime.config import Config
from runtime.values import from_wire

_TEXT = EnvType("builtins:str")
BANNER_CHARS = 60  # of a value


@dataclass
class PlainBinding:
    """The host's half: it only hands its value over."""

    name: str
    client_args: Mapping[str, Any] = field(repr=False)
    secret: bool = False
    client: str = "bindings.plain:value"

    def describe(self) -> tuple[str, str]:
        return ("secret", "(hidden)") if self.secret else ("var", shorten(self.client_args["value"]))

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} is a plain value: it has no {method}()")


def value(name: str, caller: object, value: object) -> object:
    """The worker's half: ``env.NAME`` is the value itself, a string, or a proxy of what JSON made of it."""
    return from_wire(value)


class Variables(Product):
    """``env.NAME`` for each variable and each secret."""

    key, label, shape = "vars", "variable", dict[str, Any]
    fronts = "each"

    @classmethod
    def names(cls, table: object) -> Sequence[str]:
        return list(table) if isinstance(table, Mapping) else []

    @classmethod
    def env_types(cls, config: Config) -> Mapping[str, EnvType]:
        """A text is that text: which model is meant by a variable can be told. Of a secret nothing is told."""
        return {**{name: _type(value) for name, value in config.vars.items()}, **dict.fromkeys(config.secrets, _TEXT)}

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        names = dict.fromkeys([*config.vars, *config.secrets])
        return [_binding(config, name) for name in names]


def _type(value: object) -> EnvType:
    if isinstance(value, str):
        return EnvType("typing:Literal", repr(value))
    return EnvType(f"builtins:{type(value).__name__}") if isinstance(value, bool | int | float) else EnvType()


def _binding(config: Config, name: str) -> PlainBinding:
    """A secret hides a variable of the same name, as on Cloudflare."""
    if name in config.secrets:
        return PlainBinding(name, {"value": config.secrets[name]}, secret=True)
    return PlainBinding(name, {"value": config.vars[name]})


def shorten(value: object) -> str:
    """The value as JSON, cut to what a banner can show."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= BANNER_CHARS else text[: BANNER_CHARS - 1] + "…"
