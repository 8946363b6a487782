"""What Wrangler can put into ``env`` and is not served here: a worker that asks for it is told so, by name.

Facts: Wrangler's ``config-schema.json``. Whoever builds one of these takes its row away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Bound(msgspec.Struct):
    binding: str


class Named(msgspec.Struct):
    name: str


class Bindings(msgspec.Struct):
    bindings: list[Named] = []


class Queues(msgspec.Struct):
    producers: list[Bound] = []
    consumers: list[dict[str, Any]] = []


class Unserved(NamedTuple):
    """The shape of the key's table, as far as names in ``env`` are in it, and what people call the product."""

    shape: object  # for msgspec
    label: str


UNSERVED: dict[str, Unserved] = {
    "agent_memory": Unserved(list[Bound], "Agent Memory"),
    "ai_search": Unserved(list[Bound], "AI Search"),
    "ai_search_namespaces": Unserved(list[Bound], "AI Search namespaces"),
    "analytics": Unserved(Bound, "Analytics"),
    "artifacts": Unserved(list[Bound], "Artifacts"),
    "browser": Unserved(Bound, "Browser Rendering"),
    "dispatch_namespaces": Unserved(list[Bound], "Workers for Platforms"),
    "durable_objects": Unserved(Bindings, "Durable Objects"),
    "flagship": Unserved(list[Bound], "Flagship"),
    "k2": Unserved(list[Bound], "K2"),
    "media": Unserved(Bound, "Media Transformations"),
    "mtls_certificates": Unserved(list[Bound], "mTLS certificates"),
    "pipelines": Unserved(list[Bound], "Pipelines"),
    "queues": Unserved(Queues, "Queues"),
    "services": Unserved(list[Bound], "Service bindings"),
    "stream": Unserved(Bound, "Stream"),
    "unsafe": Unserved(Bindings, "Unsafe bindings"),
    "unsafe_hello_world": Unserved(list[Bound], "Hello World"),
    "vpc_networks": Unserved(list[Bound], "VPC networks"),
    "vpc_services": Unserved(list[Bound], "VPC services"),
    "worker_loaders": Unserved(list[Bound], "Worker Loaders"),
}
