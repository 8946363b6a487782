"""Every key Wrangler 4 knows, with its type, and whether ``[env.NAME]`` inherits it.

Facts: Wrangler's ``config-schema.json`` and
https://developers.cloudflare.com/workers/wrangler/configuration/. What a product makes of the rest of
its own table is that product's affair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

Table = dict[str, Any]
Tables = list[Table]


class Bound(msgspec.Struct):
    binding: str


class Named(msgspec.Struct):
    name: str


class Bindings(msgspec.Struct):
    bindings: list[Named] = []


class Queues(msgspec.Struct):
    producers: list[Bound] = []
    consumers: Tables = []


class Unsafe(msgspec.Struct):
    bindings: list[Named] = []


class Triggers(msgspec.Struct):
    crons: list[str] = []


class Build(msgspec.Struct):
    command: str | None = None
    cwd: str | None = None
    watch_dir: str | list[str] | None = None


class Assets(msgspec.Struct):
    directory: str | None = None
    binding: str | None = None


class Secrets(msgspec.Struct):
    required: list[str] = []


class Observability(msgspec.Struct):
    enabled: bool = False
    head_sampling_rate: float = 1


class Rule(msgspec.Struct):
    type: str
    globs: list[str]


class Product(NamedTuple):
    """A key that puts something into ``env``: its shape, and what people call it."""

    type: Any
    called: str


BINDINGS: dict[str, Product] = {
    "agent_memory": Product(list[Bound], "Agent Memory"),
    "ai": Product(Bound, "Workers AI"),
    "ai_search": Product(list[Bound], "AI Search"),
    "ai_search_namespaces": Product(list[Bound], "AI Search namespaces"),
    "analytics": Product(Bound, "Analytics"),
    "analytics_engine_datasets": Product(list[Bound], "Analytics Engine"),
    "artifacts": Product(list[Bound], "Artifacts"),
    "browser": Product(Bound, "Browser Rendering"),
    "d1_databases": Product(list[Bound], "D1"),
    "dispatch_namespaces": Product(list[Bound], "Workers for Platforms"),
    "durable_objects": Product(Bindings, "Durable Objects"),
    "flagship": Product(list[Bound], "Flagship"),
    "hyperdrive": Product(list[Bound], "Hyperdrive"),
    "images": Product(Bound, "Images"),
    "k2": Product(list[Bound], "K2"),
    "kv_namespaces": Product(list[Bound], "KV"),
    "media": Product(Bound, "Media Transformations"),
    "mtls_certificates": Product(list[Bound], "mTLS certificates"),
    "pipelines": Product(list[Bound], "Pipelines"),
    "queues": Product(Queues, "Queues"),
    "r2_buckets": Product(list[Bound], "R2"),
    "ratelimits": Product(list[Named], "Rate limiting"),
    "secrets_store_secrets": Product(list[Bound], "Secrets Store"),
    "send_email": Product(list[Named], "Email"),
    "services": Product(list[Bound], "Service bindings"),
    "stream": Product(Bound, "Stream"),
    "unsafe": Product(Unsafe, "Unsafe bindings"),
    "unsafe_hello_world": Product(list[Bound], "Hello World"),
    "vectorize": Product(list[Bound], "Vectorize"),
    "version_metadata": Product(Bound, "Version metadata"),
    "vpc_networks": Product(list[Bound], "VPC networks"),
    "vpc_services": Product(list[Bound], "VPC services"),
    "worker_loaders": Product(list[Bound], "Worker Loaders"),
    "workflows": Product(list[Bound], "Workflows"),
}

OWN: dict[str, Any] = {  # in each environment afresh, as the bindings are; no names in env, but for vars
    "cloudchamber": Table,
    "connect": Tables,
    "containers": Tables,
    "define": dict[str, str],
    "secrets": Secrets,
    "streaming_tail_consumers": Tables,
    "tail_consumers": Tables,
    "vars": Table,
    **{key: product.type for key, product in BINDINGS.items()},
}

INHERITED: dict[str, Any] = {
    "access": Table,
    "account_id": str,
    "assets": Assets,
    "base_dir": str,
    "build": Build,
    "cache": Table,
    "compatibility_date": str,
    "compatibility_flags": list[str],
    "compliance_region": str,
    "exports": Table,
    "find_additional_modules": bool,
    "first_party_worker": bool,
    "jsx_factory": str,
    "jsx_fragment": str,
    "keep_names": bool,
    "limits": dict[str, float],
    "logfwdr": Bindings,
    "logpush": bool,
    "main": str,
    "migrations": Tables,
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
    "triggers": Triggers,
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

WHOLE: dict[str, tuple[str, ...]] = {  # tables of which every key is known
    "ai": ("binding", "remote", "experimental_remote", "staging"),
    "dev": (
        "ip", "port", "inspector_ip", "inspector_port", "local_protocol", "upstream_protocol", "host",
        "enable_containers", "container_engine", "generate_types",
    ),
}  # fmt: skip

MISSED: dict[str, str] = {  # settings whose effect a person would miss; the others change nothing here
    "assets": "static assets are not served here yet",
    "build": "the build command is not run here; run it yourself",
    "data_blobs": "data blobs are not available here",
    "site": "Workers Sites are not served here",
    "text_blobs": "text blobs are not available here",
    "triggers": "cron triggers do not fire here yet",
    "wasm_modules": "Wasm modules are not available here",
}
