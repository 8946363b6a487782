"""Every key Wrangler 4 knows, with its type, and whether ``[env.NAME]`` inherits it.

Facts: Wrangler's ``config-schema.json`` and
https://developers.cloudflare.com/workers/wrangler/configuration/. A product brings its own key (``bindings.base``).
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from bindings import products
from bindings.unserved import UNSERVED

Table = dict[str, Any]
Tables = list[Table]


class Build(msgspec.Struct):
    command: str | None = None
    cwd: str | None = None
    watch_dir: str | list[str] | None = None


class Secrets(msgspec.Struct):
    required: list[str] = []


class Observability(msgspec.Struct):
    enabled: bool = False
    head_sampling_rate: float = 1


class Rule(msgspec.Struct):
    type: str
    globs: list[str]


_PER_ENVIRONMENT: dict[str, Any] = {  # in each environment afresh
    "cloudchamber": Table,
    "connect": Tables,
    "containers": Tables,
    "define": dict[str, str],
    "secrets": Secrets,
    "streaming_tail_consumers": Tables,
    **{key: product.shape for key, product in UNSERVED.items()},
}

_INHERITED: dict[str, Any] = {
    "access": Table,
    "account_id": str,
    "base_dir": str,
    "build": Build,
    "cache": Table,
    "compatibility_date": str,
    "compatibility_flags": list[str],
    "compliance_region": str,
    "find_additional_modules": bool,
    "first_party_worker": bool,
    "jsx_factory": str,
    "jsx_fragment": str,
    "keep_names": bool,
    "limits": dict[str, float],
    "logfwdr": Table,
    "logpush": bool,
    "main": str,
    "minify": bool,
    "name": str,
    "no_bundle": bool,
    "observability": Observability,
    "placement": Table,
    "preserve_file_names": bool,
    "preview_urls": bool,
    "previews": Table,
    "python_modules": Table,
    "route": str | Table,
    "routes": list[str | Table],
    "rules": list[Rule],
    "tsconfig": str,
    "upload_source_maps": bool,
    "workers_dev": bool,
    "pilot": Table,
}

TOP_LEVEL: dict[str, Any] = {  # refused in [env.NAME]
    "$schema": str,
    "addresses": list[str],
    "alias": dict[str, str],
    "data_blobs": dict[str, str],
    "dependencies_instrumentation": Table,
    "dev": Table,
    "env": dict[str, Table],
    "keep_vars": bool,
    "legacy_env": bool,
    "pages_build_output_dir": str,
    "send_metrics": bool,
    "site": Table,
    "text_blobs": dict[str, str],
    "wasm_modules": dict[str, str],
}

_KEYS_OF_TABLES: dict[str, tuple[str, ...]] = {  # tables of which every key is known; a product's say so themselves
    "dev": (
        "ip", "port", "inspector_ip", "inspector_port", "local_protocol", "upstream_protocol", "host",
        "enable_containers", "container_engine", "generate_types",
    ),
}  # fmt: skip


def per_environment() -> dict[str, Any]:
    """The keys, with their types, that each environment has afresh: ``[env.NAME]`` does not take them over."""
    return _with_products(_PER_ENVIRONMENT, inherited=False)


def inherited() -> dict[str, Any]:
    """The keys that ``[env.NAME]`` takes over from the top level."""
    return _with_products(_INHERITED, inherited=True)


def _with_products(known: dict[str, Any], *, inherited: bool) -> dict[str, Any]:
    """``known`` without what is a product's, and with the products' own of that kind."""
    product_keys = {product.key for product in products()}
    others = {key: shape for key, shape in known.items() if key not in product_keys}
    return others | {product.key: product.shape for product in products() if product.inherited is inherited}


def keys_of(key: str) -> tuple[str, ...] | None:
    """Every key of the table ``key``; None where that is not known here."""
    shape = next((product.shape for product in products() if product.key == key), None)
    return getattr(next(iter(get_args(shape)), shape), "__struct_encode_fields__", _KEYS_OF_TABLES.get(key))
