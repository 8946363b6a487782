"""The products a worker's ``env`` can hold, by the wrangler key that asks for them. The only registry."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bindings.base import Product

PRODUCTS: dict[str, str] = {
    "vars": "bindings.plain:Variables",
    "ai": "bindings.ai.product:AI",
    "version_metadata": "bindings.version_metadata:VersionMetadata",
}


@cache
def products() -> tuple[type[Product], ...]:
    """Every product of the registry, imported, in its order."""
    return tuple(map(_product, PRODUCTS.values()))


def _product(target: str) -> type[Product]:
    module, _, name = target.partition(":")
    product: type[Product] = getattr(importlib.import_module(module), name)
    return product
