"""The table of docs/bindings/index.md has each method that a worker can call."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

DOCS = (Path(__file__).parents[2] / "docs/bindings/index.md").read_text("utf-8")
TABLE = DOCS.partition("## Every method")[2].partition("\n## ")[0]
CLIENTS = [
    "kv.worker:KVNamespace", "d1.worker:D1Database", "d1.worker:D1DatabaseSession", "d1.worker:D1PreparedStatement",
    "r2.worker:R2Bucket", "r2.worker:R2MultipartUpload", "r2.objects:R2Object", "r2.objects:R2ObjectBody",
    "r2.objects:R2Checksums", "vectorize.worker:VectorizeIndex", "cache.worker:Cache", "cache.worker:CacheStorage",
    "assets.worker:Fetcher", "rate_limiting.worker:RateLimit", "analytics_engine.binding:AnalyticsEngineDataset",
    "secrets_store.worker:Secret", "hyperdrive.worker:Hyperdrive", "version_metadata:Metadata",
]  # fmt: skip


def told(name: str) -> set[str]:
    """Methods of the rows that name the class: ``Class.method``, and what follows it without one."""
    found, current = set[str](), ""
    for line in TABLE.splitlines():
        for word in re.findall(r"`([\w.]+)`", line.split(" | ")[0]):
            owner, dot, method = word.rpartition(".")
            current = owner if dot else word if word[0].isupper() else current
            if current == name:
                found.add(method)
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_each_method_is_in_the_table(client: str) -> None:
    kind = resolve_name(f"bindings.{client}")
    methods = {
        name
        for base in kind.__mro__
        if base.__module__.startswith("bindings")
        for name in vars(base)
        if not name.startswith("_") and name != "product"
    }
    assert methods <= told(kind.__name__), client
