"""What an index is, and how a configuration says so.

[[vectorize]]
binding = "DOCS"
index_name = "docs"

[pilot.vectorize.docs]      # ours: the index is made at the first start; without it, `pilot vectorize create`
dimensions = 384
metric = "cosine"           # or euclidean, dot-product
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

Metric: TypeAlias = Literal["cosine", "euclidean", "dot-product"]
PropertyType: TypeAlias = Literal["string", "number", "boolean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean", "dot-product")
MAX_DIMENSIONS = 1536
MAX_INDEX_NAME_BYTES = 64
Dimensions: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSIONS)]


class IndexConfig(msgspec.Struct, frozen=True):
    """Both never change: another index needs another name."""

    dimensions: Dimensions
    metric: Metric = "cosine"


class IndexSettings(IndexConfig, frozen=True):
    """``[pilot.vectorize.NAME]``. Metadata indexes are made where they are missing, and not removed."""

    metadata_indexes: dict[str, PropertyType] = {}

    def config(self) -> IndexConfig:
        return IndexConfig(self.dimensions, self.metric)


class VectorizeTable(msgspec.Struct, frozen=True):
    """``[[vectorize]]``. What says what the index is comes with a deploy, from ``[pilot.vectorize]``. ``remote``,
    without which Cloudflare's own local server has none, changes nothing: it is local."""

    binding: str
    index_name: str
    dimensions: Dimensions | None = None
    metric: Metric = "cosine"
    metadata_indexes: dict[str, PropertyType] = {}
    remote: bool | None = None
    experimental_remote: bool | None = None

    def settings(self) -> IndexSettings | None:
        if self.dimensions is None:
            return None
        return IndexSettings(self.dimensions, self.metric, self.metadata_indexes)


class VectorizeSettings(msgspec.Struct, frozen=True):
    vectorize: dict[str, IndexSettings] = {}


PRESETS: dict[str, IndexConfig] = {
    "@cf/baai/bge-small-en-v1.5": IndexConfig(384),
    "@cf/baai/bge-base-en-v1.5": IndexConfig(768),
    "@cf/baai/bge-large-en-v1.5": IndexConfig(1024),
    "openai/text-embedding-ada-002": IndexConfig(1536),
    "cohere/embed-multilingual-v2.0": IndexConfig(768, "dot-product"),
}
"""https://developers.cloudflare.com/vectorize/best-practices/create-indexes/"""

__all__ = [
    "MAX_DIMENSIONS", "MAX_INDEX_NAME_BYTES", "METRICS", "PRESETS", "IndexConfig", "IndexSettings", "Metric",
    "PropertyType", "VectorizeSettings", "VectorizeTable",
]  # fmt: skip
