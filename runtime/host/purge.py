"""What a worker keeps on this host besides its code: it outlives the worker, until that is deleted with ``--purge``."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bindings import products
from bindings.base import Product
from runtime.host.fleet import Fleet

_LEAVE_TIMEOUT_S = 30.0  # seconds that requests of a deleted worker have until what they use is removed
_ALL_VERSIONS = 1_000_000  # a rollback may bring any of them back

Kept = set[tuple[type[Product], str]]
"""(product, id)"""


def kept_alone(fleet: Fleet, worker: str) -> Kept:
    """What no other worker names. Raises UserError: a version cannot be read, and may name it."""
    others = [_kept(fleet, name) for name in fleet.registry.workers() if name != worker]
    return _kept(fleet, worker).difference(*others)


def _kept(fleet: Fleet, worker: str) -> Kept:
    configs = map(fleet.config, fleet.registry.versions(worker, _ALL_VERSIONS))
    return {(product, id) for config in configs for product in products() for id in product.keeps(config)}


async def purge(fleet: Fleet, worker: str, kept: Kept) -> list[dict[str, str]]:
    """Remove it, once the worker is deleted: within its turn. What was removed. Raises OSError and sqlite3.Error."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LEAVE_TIMEOUT_S):
            await fleet.versions.left(worker)
            await fleet.left(worker)
    items = sorted(kept, key=lambda item: (item[0].label, item[1]))
    gone = [(product, id) for product, id in items if await product.purge(fleet.context, id) is not False]
    return [{"product": product.label, "id": id} for product, id in gone]


__all__ = ["Kept", "kept_alone", "purge"]
