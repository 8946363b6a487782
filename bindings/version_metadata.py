"""``[version_metadata] binding = "VERSION"``: which version of the worker this is.

The host's half hands over what it knows when the isolate is made; the worker's half never calls it.

https://developers.cloudflare.com/workers/runtime-apis/bindings/version-metadata/
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from runtime.config import Config, Version


class VersionTable(msgspec.Struct, frozen=True):
    """``[version_metadata]``."""

    binding: str


class VersionBinding(msgspec.Struct):
    """The host's half: it only hands over what it knows."""

    name: str
    version: Version
    client: str = "bindings.version_metadata:Metadata"
    client_args: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        self.client_args = {"id": self.version.id, "tag": self.version.tag, "timestamp": self.version.created}

    def describe(self) -> tuple[str, str]:
        return "version metadata", self.version.id

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} has no {method}(): it has id, tag and timestamp")


class Metadata:
    """The worker's half: ``env.VERSION.id``, a UUID; ``tag``, "" without one; ``timestamp``, ISO 8601 in UTC."""

    def __init__(self, name: str, caller: object, id: str, tag: str, timestamp: str) -> None:
        self.id, self.tag, self.timestamp = id, tag, timestamp

    def __getitem__(self, key: str) -> str:
        return self.to_py()[key]

    def to_py(self) -> dict[str, str]:
        return {"id": self.id, "tag": self.tag, "timestamp": self.timestamp}

    def __repr__(self) -> str:
        return f"<version {self.id}>"


class VersionMetadata(Product):
    """On a host the upload's; in ``pilot dev`` one that is made up at each start, as upstream's local server does."""

    key, label, shape = "version_metadata", "Version metadata", VersionTable
    fronts = "each"
    worker_type = "bindings.version_metadata:Metadata"
    types = ("version_metadata",)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        context.shared[cls.key] = Version(str(uuid.uuid4()), "", now)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if cls.key not in config.products:
            return ()
        return [VersionBinding(config.typed(cls.key, VersionTable).binding, config.version or context.shared[cls.key])]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        table = config.products.get(cls.key)
        return [{"name": table["binding"], "type": "version_metadata"}] if table else []

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        return {"binding": uploaded[-1]["name"]}
