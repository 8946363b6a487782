"""What a worker may give to an index, checked: vectors, ids, and how a query wants to be answered.

Limits: https://developers.cloudflare.com/vectorize/platform/limits/
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import msgspec

from bindings.base import CallError
from bindings.vectorize.errors import INVALID, METADATA_KEY, METADATA_SIZE, VECTOR_DIMENSIONS, VectorizeError
from bindings.vectorize.settings import PropertyType

MAX_NAME_BYTES = 64  # of a vector's id and of a namespace
MAX_METADATA_BYTES = 10 * 1024  # a vector's, as compact JSON
MAX_TOP_K = 100
MAX_TOP_K_WITH_DETAILS = 50  # with values or all metadata
MAX_VECTORS_A_CALL = 1000  # from a worker
MAX_VECTORS_A_REQUEST = 5000  # over REST
DEFAULT_TOP_K = 5
FLOAT32_MAX = 3.4028234663852886e38
RETRIEVAL = {True: "all", False: "none", None: "none", "all": "all", "indexed": "indexed", "none": "none"}


class Vector(NamedTuple):
    """One vector, as it is kept."""

    id: str
    values: Sequence[float]
    namespace: str | None
    metadata: bytes | None  # a JSON object


class QueryOptions(NamedTuple):
    top_k: int
    namespace: str | None
    values: bool
    metadata: Literal["none", "indexed", "all"]
    filter: object | None


def parse_vectors(given: object, dimensions: int, limit: int = MAX_VECTORS_A_CALL) -> list[Vector]:
    """``[{"id", "values", "namespace"?, "metadata"?}]``. Of one id given twice the last counts."""
    if not isinstance(given, list) or not given:
        raise VectorizeError(INVALID, "expected a list of one or more vectors")
    if len(given) > limit:
        raise VectorizeError(INVALID, f"too many vectors: {len(given)}; at most {limit} a call")
    return list({(vector := parse_vector(item, dimensions)).id: vector for item in given}.values())


def parse_vector(given: object, dimensions: int) -> Vector:
    if not isinstance(given, dict) or "id" not in given:
        raise VectorizeError(INVALID, "a vector is an object with an id and values")
    id = parse_id(given["id"])
    namespace, metadata = given.get("namespace"), given.get("metadata")
    if namespace is not None:
        namespace = parse_name(namespace, "namespace")
    values = parse_values(given.get("values"), dimensions, f'invalid vector for id="{id}"', VECTOR_DIMENSIONS)
    return Vector(id, values, namespace, None if metadata is None else encode_metadata(id, metadata))


def parse_values(given: object, dimensions: int, subject: str, code: int) -> Sequence[float]:
    """A list of finite numbers, ``dimensions`` of them, each within float32."""
    if not isinstance(given, list):
        raise VectorizeError(code, f"{subject}: values must be a list of numbers")
    if len(given) != dimensions:
        raise VectorizeError(code, f"{subject}, expected {dimensions} dimensions, and got {len(given)} dimensions")
    if not set(map(type, given)) <= {float, int}:
        raise VectorizeError(code, f"{subject}: values must be numbers")
    if not (min(given) >= -FLOAT32_MAX and max(given) <= FLOAT32_MAX and math.isfinite(sum(given))):
        raise VectorizeError(code, f"{subject}: values must be finite 32-bit floats")
    return cast("list[float]", given)


def parse_ids(given: object, limit: int = MAX_VECTORS_A_CALL) -> list[str]:
    if not isinstance(given, list) or not given:
        raise VectorizeError(INVALID, "expected a list of one or more ids")
    if len(given) > limit:
        raise VectorizeError(INVALID, f"too many ids: {len(given)}; at most {limit} a call")
    return [parse_id(id) for id in given]


def parse_id(given: object) -> str:
    return parse_name(str(given) if type(given) is int else given, "vector id")


def parse_name(given: object, subject: str) -> str:
    if not isinstance(given, str) or not given:
        raise VectorizeError(INVALID, f"a {subject} must be a string that is not empty")
    if len(given.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise VectorizeError(INVALID, f"{subject} too long: at most {MAX_NAME_BYTES} bytes")
    return given


def encode_metadata(id: str, given: object) -> bytes:
    """``given`` as compact JSON."""
    if not isinstance(given, dict):
        raise VectorizeError(METADATA_KEY, f'invalid metadata for id="{id}": an object is expected')
    for key in given:
        if not isinstance(key, str) or not key or "." in key or '"' in key or key.startswith("$"):
            text = f'metadata key "{key}": keys must not be empty, contain . or ", or start with $'
            raise VectorizeError(METADATA_KEY, f'invalid metadata for id="{id}": {text}')
    try:
        encoded = msgspec.json.encode(given)
    except (TypeError, ValueError, RecursionError):
        raise VectorizeError(METADATA_KEY, f'invalid metadata for id="{id}": not JSON') from None
    if len(encoded) > MAX_METADATA_BYTES:
        text = f"metadata too large: {len(encoded)} bytes, at most {MAX_METADATA_BYTES}"
        raise VectorizeError(METADATA_SIZE, f'invalid metadata for id="{id}": {text}')
    return encoded


def parse_options(given: object) -> QueryOptions:
    """Options that are not known are passed over, as everywhere upstream."""
    options = given if isinstance(given, dict) else {}
    retrieval = options.get("returnMetadata")
    if not isinstance(retrieval, (bool, str, type(None))) or retrieval not in RETRIEVAL:
        text = 'Expected: true, false, "none", "indexed" or "all"; got: '
        raise CallError("Error", f"Invalid returnMetadata option. {text}{retrieval}")
    level = cast(Literal["none", "indexed", "all"], RETRIEVAL[retrieval])
    values, namespace = bool(options.get("returnValues")), options.get("namespace")
    if namespace is not None:
        namespace = parse_name(namespace, "namespace")
    top_k = _top_k(options.get("topK"), MAX_TOP_K_WITH_DETAILS if values or level == "all" else MAX_TOP_K)
    return QueryOptions(top_k, namespace, values, level, options.get("filter"))


def _top_k(given: object, limit: int) -> int:
    top_k = DEFAULT_TOP_K if given is None else given
    if isinstance(top_k, bool) or not isinstance(top_k, (int, float)) or top_k != int(top_k) or top_k < 1:
        raise VectorizeError(INVALID, f"topK must be a whole number from 1 to {limit}; got {given!r}")
    if top_k > limit:
        details = " with returnValues or returnMetadata = all" if limit < MAX_TOP_K else ""
        raise VectorizeError(INVALID, f"topK must be at most {limit}{details}; got {int(top_k)}")
    return int(top_k)


def parse_property(property: object, kind: object) -> tuple[str, PropertyType]:
    """A metadata index's name and type, checked."""
    if not isinstance(property, str) or not property or '"' in property or property.startswith("$"):
        raise VectorizeError(INVALID, 'a property name is a string, not empty, without " and without $ at its start')
    if kind not in ("string", "number", "boolean"):
        raise VectorizeError(INVALID, f'a metadata index is of type "string", "number" or "boolean"; got {kind!r}')
    return property, kind
