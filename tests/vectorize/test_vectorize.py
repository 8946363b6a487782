"""``env.VECTORIZE`` as a worker uses it: docs/reference/bindings.md#vectorize."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

ENTRY = (
    ROUTER
    + """
from workers import Response
from pyodide.ffi import JsException

async def call(request, env):
    asked = await request.json()
    try:
        method = getattr(getattr(env, asked.get("binding", "DOCS")), asked["method"])
        return Response.json({"result": await method(*asked["args"], **asked["options"])})
    except JsException as error:
        return Response.json({"error": [error.name, error.message]})
    except (TypeError, AttributeError) as error:
        return Response.json({"error": [type(error).__name__, str(error)]})
"""
)
CONFIG = """
[[vectorize]]
binding = "DOCS"
index_name = "docs"
[[vectorize]]
binding = "SAME"
index_name = "docs"
[[vectorize]]
binding = "FAR"
index_name = "far"
remote = true
[[vectorize]]
binding = "DOT"
index_name = "dot"
[[vectorize]]
binding = "MISSING"
index_name = "not made"

[pilot.vectorize.docs]
dimensions = 3
metadata_indexes = { n = "number", city = "string", price = "number", sold = "boolean", "place.country" = "string" }
[pilot.vectorize.far]
dimensions = 2
metric = "euclidean"
[pilot.vectorize.dot]
dimensions = 2
metric = "dot-product"
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("vectorize")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def empty(pilot: Served) -> None:
    for binding, vector in (("DOCS", [0, 0, 1]), ("FAR", [0, 0]), ("DOT", [0, 0])):
        while ids := [
            match["id"] for match in (await call(pilot, "query", vector, binding=binding, topK=100))["matches"]
        ]:
            await call(pilot, "deleteByIds", ids, binding=binding)


class Refused(Exception):
    """What the worker caught: ``args`` are the error's name and its message."""


async def call(pilot: Served, method: str, *args: Any, binding: str = "DOCS", **options: Any) -> Any:
    """``await env.BINDING.method(*args, **options)`` in the worker. Raises Refused."""
    body = {"binding": binding, "method": method, "args": args, "options": options}
    status, text = await pilot.ask("/call", "POST", data=json.dumps(body))
    assert status == 200, text
    answer = json.loads(text)
    if "error" in answer:
        raise Refused(*answer["error"])
    return answer["result"]


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-6)


async def test_insert_leaves_what_is_there_and_upsert_replaces_it_whole(pilot: Served) -> None:
    first = await call(pilot, "insert", [{"id": "a", "values": [1, 0, 0], "metadata": {"n": 1}, "namespace": "x"}])
    second = await call(pilot, "insert", [{"id": "a", "values": [0, 1, 0]}, {"id": "b", "values": [0, 0.5, 0]}])
    assert uuid.UUID(first["mutationId"]) != uuid.UUID(second["mutationId"])
    kept = await call(pilot, "getByIds", ["b", "nope", "a", "b"])
    assert kept == [
        {"id": "b", "values": [0, 0.5, 0]},
        {"id": "a", "values": [1, 0, 0], "metadata": {"n": 1}, "namespace": "x"},
    ]
    await call(pilot, "upsert", [{"id": "a", "values": [0, 0, 2]}])
    assert await call(pilot, "getByIds", ["a"], binding="SAME") == [{"id": "a", "values": [0, 0, 2]}]


async def test_values_are_kept_as_32_bit_floats(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": "a", "values": [58.8, 1, 0]}])
    [kept] = await call(pilot, "getByIds", ["a"])
    assert kept["values"] == [58.79999923706055, 1, 0]


async def test_describe_counts_and_names_the_last_mutation(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": str(n), "values": [n, 1, 0]} for n in range(4)])
    done = await call(pilot, "deleteByIds", ["1", "nope"])
    about = await call(pilot, "describe")
    assert (about["dimensions"], about["vectorCount"]) == (3, 3)
    assert about["processedUpToMutation"] == done["mutationId"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", about["processedUpToDatetime"])


async def test_cosine_best_first(pilot: Served) -> None:
    vectors = {"same": [2, 0, 0], "near": [1, 1, 0], "across": [0, 3, 0], "opposite": [-1, 0, 0], "zero": [0, 0, 0]}
    await call(pilot, "upsert", [{"id": id, "values": values} for id, values in vectors.items()])
    answer = await call(pilot, "query", [5, 0, 0])
    assert answer["count"] == 5
    scores = {match["id"]: match["score"] for match in answer["matches"]}
    assert list(scores) == ["same", "near", "across", "zero", "opposite"]
    assert scores == {"same": near(1), "near": near(0.5**0.5), "across": 0, "zero": 0, "opposite": near(-1)}
    assert set(answer["matches"][0]) == {"id", "score"}


async def test_euclidean_nearest_first(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": str(n), "values": [n, 0]} for n in (9, 3, 1, 4)], binding="FAR")
    answer = await call(pilot, "query", [4, 0], binding="FAR", topK=3)
    assert [(match["id"], match["score"]) for match in answer["matches"]] == [("4", 0), ("3", 1), ("1", 3)]


async def test_dot_product_largest_first(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": str(n), "values": [n, 1]} for n in (-2, 3, 1)], binding="DOT")
    answer = await call(pilot, "query", [2, 1], binding="DOT")
    assert [(match["id"], match["score"]) for match in answer["matches"]] == [("3", 7), ("1", 3), ("-2", -3)]


async def test_top_k(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": str(n), "values": [n, 1, 0]} for n in range(120)])
    assert (await call(pilot, "query", [1, 0, 0]))["count"] == 5
    assert (await call(pilot, "query", [1, 0, 0], topK=100))["count"] == 100
    assert (await call(pilot, "query", [1, 0, 0], topK=50, returnMetadata="all", returnValues=True))["count"] == 50
    for options in ({"topK": 101}, {"topK": 51, "returnValues": True}, {"topK": 51, "returnMetadata": "all"}):
        with pytest.raises(Refused, match=r"VECTOR_QUERY_ERROR \(code = 40000\): topK must be at most"):
            await call(pilot, "query", [1, 0, 0], **options)
    for top_k in (0, -1, 1.5, "5", True):
        with pytest.raises(Refused, match="topK must be a whole number from 1 to 100"):
            await call(pilot, "query", [1, 0, 0], topK=top_k)


@pytest.mark.parametrize(
    ("option", "metadata"),
    [("none", None), (False, None), (None, None), ("indexed", {"n": 1}), ("all", {"n": 1, "t": "x"}),
     (True, {"n": 1, "t": "x"})],
)  # fmt: skip
async def test_return_metadata(pilot: Served, option: object, metadata: object) -> None:
    await call(pilot, "upsert", [{"id": "a", "values": [1, 0, 0], "metadata": {"n": 1, "t": "x"}}])
    [match] = (await call(pilot, "query", [1, 0, 0], returnMetadata=option))["matches"]
    assert match.get("metadata") == metadata


async def test_an_unknown_return_metadata(pilot: Served) -> None:
    text = 'Invalid returnMetadata option. Expected: true, false, "none", "indexed" or "all"; got: some'
    with pytest.raises(Refused) as caught:
        await call(pilot, "query", [1, 0, 0], returnMetadata="some")
    assert caught.value.args == ("Error", text)


async def test_values_and_namespaces_come_along(pilot: Served) -> None:
    vectors = [{"id": f"{space}{n}", "values": [n, 1, 0], "namespace": space} for space in "xy" for n in (1, 2)]
    await call(pilot, "upsert", [*vectors, {"id": "none", "values": [1, 1, 0]}])
    answer = await call(pilot, "query", [1, 1, 0], namespace="y", returnValues=True)
    assert [match["id"] for match in answer["matches"]] == ["y1", "y2"]
    assert answer["matches"][0] == {"id": "y1", "score": near(1), "namespace": "y", "values": [1, 1, 0]}
    assert (await call(pilot, "query", [1, 1, 0], namespace="z")) == {"count": 0, "matches": []}


async def test_query_by_id(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": "a", "values": [1, 0, 0]}, {"id": "b", "values": [1, 1, 0]}])
    answer = await call(pilot, "queryById", "b", topK=1, returnValues=True)
    assert answer["matches"] == [{"id": "b", "score": near(1), "values": [1, 1, 0]}]
    with pytest.raises(Refused, match=r'VECTOR_QUERY_ERROR \(code = 40000\): there is no vector with the id "c"'):
        await call(pilot, "queryById", "c")


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"city": "Paris"}, "ab"),
    ({"city": {"$eq": "Paris"}}, "ab"),
    ({"city": {"$ne": "Paris"}}, "cd"),
    ({"city": {"$in": ["Rome", "Oslo"]}}, "c"),
    ({"city": {"$nin": ["Rome", "Oslo"]}}, "abd"),
    ({"city": {"$gte": "P", "$lt": "Q"}}, "ab"),
    ({"city": {"$gt": "Paris"}}, "c"),
    ({"city": None}, "d"),
    ({"city": {"$ne": None}}, "abc"),
    ({"price": 2}, "b"),
    ({"price": {"$lt": 2}}, "a"),
    ({"price": {"$lte": 2}}, "ab"),
    ({"price": {"$gt": 2}}, "c"),
    ({"price": {"$gte": 2, "$lt": 3}}, "b"),
    ({"price": {"$in": [1, 3.5, None]}}, "acd"),
    ({"price": "2"}, ""),
    ({"sold": True}, "a"),
    ({"sold": {"$ne": True}}, "bcd"),
    ({"sold": 1}, ""),
    ({"place.country": "fr"}, "a"),
    ({"place": {"country": "it"}}, "c"),
    ({"place": {"country": {"$in": ["fr", "it"]}}, "price": {"$gt": 1}}, "c"),
    ({"city": "Paris", "price": 2}, "b"),
    ({"title": "t"}, ""),
    ({"title": None}, "abcd"),
]


@pytest.mark.parametrize(("filter", "ids"), FILTERS, ids=[json.dumps(filter) for filter, _ in FILTERS])
async def test_filters(pilot: Served, filter: dict[str, Any], ids: str) -> None:
    metadata: dict[str, dict[str, Any]] = {
        "a": {"city": "Paris", "price": 1, "sold": True, "place": {"country": "fr"}, "title": "t"},
        "b": {"city": "Paris", "price": 2, "sold": False, "place": "fr"},
        "c": {"city": "Rome", "price": 3.5, "sold": "yes", "place": {"country": "it"}},
        "d": {},
    }
    await call(pilot, "upsert", [{"id": id, "values": [1, 0, 0], "metadata": it} for id, it in metadata.items()])
    answer = await call(pilot, "query", [1, 0, 0], filter=filter)
    assert sorted(match["id"] for match in answer["matches"]) == sorted(ids)


async def test_strings_are_indexed_by_their_first_64_bytes(pilot: Served) -> None:
    await call(pilot, "upsert", [{"id": "a", "values": [1, 0, 0], "metadata": {"city": "é" * 40}}])
    assert (await call(pilot, "query", [1, 0, 0], filter={"city": "é" * 32}))["count"] == 1
    assert (await call(pilot, "query", [1, 0, 0], filter={"city": "é" * 31}))["count"] == 0


@pytest.mark.parametrize(
    ("filter", "text"),
    [({}, "must be an object that is not empty"), ("x", "must be an object"), ({"$a": 1}, "bad key"),
     ({'a"b': 1}, "bad key"), ({"": 1}, "bad key"), ({"a": {"$like": 1}}, r"unknown operator \$like"),
     ({"a": {"$in": 1}}, "without a list"), ({"a": {"$lt": True}}, "without a number or a string"),
     ({"a": {"$lt": 1, "$lte": 2}}, "only a lower and an upper bound"), ({"a": [1]}, "neither a string"),
     ({"a": {"$eq": 1, "$ne": 2}}, "only a lower and an upper"), ({"a": {}}, "no operator"),
     ({"a": "x" * 2048}, "smaller than 2048 bytes"), ({"k" * 513: 1}, "bad key")],
)  # fmt: skip
async def test_bad_filters(pilot: Served, filter: object, text: str) -> None:
    with pytest.raises(Refused, match=rf"VECTOR_QUERY_ERROR \(code = 40000\): filter .*{text}"):
        await call(pilot, "query", [1, 0, 0], filter=filter)


BAD_VECTORS: list[tuple[Any, str]] = [
    ([{"id": "a", "values": [1]}], r'40012\): invalid vector for id="a", expected 3 dimensions, and got 1 dimensions'),
    ([{"id": "a", "values": [1, "2", 3]}], "values must be numbers"),
    ([{"id": "a", "values": [1, True, 3]}], "values must be numbers"),
    ([{"id": "a", "values": [1, 1e39, 3]}], "finite 32-bit floats"),
    ([{"id": "a", "values": None}], "values must be a list of numbers"),
    ([{"values": [1, 2, 3]}], "an object with an id and values"),
    ([{"id": "", "values": [1, 2, 3]}], "a vector id must be a string that is not empty"),
    ([{"id": "x" * 65, "values": [1, 2, 3]}], "vector id too long: at most 64 bytes"),
    ([{"id": "a", "values": [1, 2, 3], "namespace": "x" * 65}], "namespace too long"),
    ([{"id": "a", "values": [1, 2, 3], "metadata": {"x.y": 1}}], r'40018\): invalid metadata .*"x\.y"'),
    ([{"id": "a", "values": [1, 2, 3], "metadata": {"$x": 1}}], "40018"),
    ([{"id": "a", "values": [1, 2, 3], "metadata": [1]}], "an object is expected"),
    ([{"id": "a", "values": [1, 2, 3], "metadata": {"x": "y" * 10240}}], r"40023\): .*metadata too large: 10248 bytes"),
    ([], "expected a list of one or more vectors"),
    ({"id": "a"}, "expected a list of one or more vectors"),
    ([{"id": str(n), "values": [1, 2, 3]} for n in range(1001)], "too many vectors: 1001; at most 1000 a call"),
]


@pytest.mark.parametrize(("vectors", "text"), BAD_VECTORS, ids=[text[:30] for _, text in BAD_VECTORS])
async def test_bad_vectors_change_nothing(pilot: Served, vectors: Any, text: str) -> None:
    await call(pilot, "upsert", [{"id": "kept", "values": [1, 0, 0]}])
    good = [{"id": "good", "values": [1, 0, 0]}] if isinstance(vectors, list) and len(vectors) == 1 else []
    for method, name in (("insert", "VECTOR_INSERT"), ("upsert", "VECTOR_UPSERT")):
        with pytest.raises(Refused, match=f"{name}_ERROR .*{text}"):
            await call(pilot, method, [*good, *vectors] if good else vectors)
    assert (await call(pilot, "describe"))["vectorCount"] == 1
    assert [match["id"] for match in (await call(pilot, "query", [1, 0, 0]))["matches"]] == ["kept"]


async def test_a_query_of_another_length(pilot: Served) -> None:
    with pytest.raises(Refused) as caught:
        await call(pilot, "query", [1, 0])
    text = "VECTOR_QUERY_ERROR (code = 40006): invalid query vector, expected 3 dimensions, and got 2 dimensions"
    assert caught.value.args == ("Error", text)


async def test_an_index_that_nobody_has_made(pilot: Served) -> None:
    with pytest.raises(Refused, match=r"INDEX_GET_ERROR \(code = 3000\): .*pilot vectorize create .*not made"):
        await call(pilot, "describe", binding="MISSING")
    assert "pilot vectorize create 'not made'" in pilot.log()


async def test_names_in_snake_case_are_told_the_right_one(pilot: Served) -> None:
    with pytest.raises(Refused, match="it is getByIds"):
        await call(pilot, "get_by_ids", ["a"])


async def test_what_is_acknowledged_outlives_a_save_and_a_kill(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        await call(pilot, "upsert", [{"id": "a", "values": [1, 0, 0], "metadata": {"n": 1}}])
        assert await pilot.save(ENTRY + "\n")
        assert (await call(pilot, "describe"))["vectorCount"] == 1
        await call(pilot, "upsert", [{"id": "b", "values": [0, 1, 0]}])
        pilot.process.kill()
        await pilot.process.wait()
    async with serving(tmp_path) as pilot:
        answer = await call(pilot, "query", [1, 0, 0], returnMetadata="all")
        assert [match["id"] for match in answer["matches"]] == ["a", "b"]
        assert answer["matches"][0]["metadata"] == {"n": 1}


async def test_an_index_never_changes_its_dimensions(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        await call(pilot, "upsert", [{"id": "a", "values": [1, 0, 0]}])
    write(tmp_path, ENTRY, CONFIG.replace("dimensions = 3", "dimensions = 4"))
    async with serving(tmp_path) as pilot:
        await pilot.says('the index "docs" has 3 dimensions and the metric cosine, which cannot change')
        assert (await call(pilot, "describe"))["vectorCount"] == 1


async def test_only_vectors_put_after_the_metadata_index_take_part(tmp_path: Path) -> None:
    vector: dict[str, Any] = {"values": [1, 0, 0], "metadata": {"later": "x", "place": {"country": "fr"}}}
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:
        await call(pilot, "upsert", [{"id": "before", **vector}])
    write(tmp_path, ENTRY, CONFIG.replace('n = "number"', 'later = "string"'))
    async with serving(tmp_path) as pilot:
        await call(pilot, "upsert", [{"id": "after", **vector}])
        answer = await call(pilot, "query", [1, 0, 0], filter={"later": "x"}, returnMetadata="indexed")
    indexed = {"later": "x", "place.country": "fr"}
    assert [(match["id"], match["metadata"]) for match in answer["matches"]] == [("after", indexed)]
