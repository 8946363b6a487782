"""The products a worker's ``env`` can hold, by the wrangler key that asks for them. The only registry."""

from __future__ import annotations

from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bindings.base import Product

PRODUCTS: dict[str, str] = {
    "vars": "bindings.plain:Variables",
    "kv_namespaces": "bindings.kv.product:KV",
    "r2_buckets": "bindings.r2.product:R2",
    "vectorize": "bindings.vectorize.product:Vectorize",
    "queues": "bindings.queues.product:Queues",
    "d1_databases": "bindings.d1.product:D1",
    "send_email": "bindings.email.product:Email",
    "durable_objects": "bindings.durable_objects.product:DurableObjects",
    "migrations": "bindings.durable_objects.product:Migrations",
    "exports": "bindings.durable_objects.product:Exports",
    "assets": "bindings.assets.product:StaticAssets",
    "workflows": "bindings.workflows.product:Workflows",
    "services": "bindings.services.product:Services",
    "worker_loaders": "bindings.worker_loaders.product:WorkerLoaders",
    "cache": "bindings.cache.product:Cache",
    "ai": "bindings.ai.product:WorkersAI",
    "images": "bindings.images.product:Images",
    "analytics_engine_datasets": "bindings.analytics_engine.product:AnalyticsEngine",
    "ratelimits": "bindings.rate_limiting.product:RateLimiting",
    "secrets_store_secrets": "bindings.secrets_store.product:SecretsStore",
    "hyperdrive": "bindings.hyperdrive.product:HyperdriveProduct",
    "version_metadata": "bindings.version_metadata:VersionMetadata",
    "triggers": "bindings.cron.product:CronTriggers",
    "tail_consumers": "bindings.tail_consumers.product:TailConsumers",
}

# What they add to the command line, read before any of them is imported: "module:OPTIONS", where a command's name leads
# to its options, of a module that imports click alone. See runtime/product_options.py.
OPTIONS: dict[str, str] = {"ai": "bindings.ai.options:OPTIONS"}

# Commands that must be quick: found here, before any product is imported; of the others ``Product.commands`` says.
COMMANDS: dict[str, str] = {name: f"bindings.ai.terminal.{name}:{name}" for name in ("models", "ps", "pull", "run")}


@cache
def products() -> tuple[type[Product], ...]:
    """Every product of the registry, imported, in its order."""
    return tuple(map(resolve_name, PRODUCTS.values()))
