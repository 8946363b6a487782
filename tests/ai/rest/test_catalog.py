"""The catalog's routes, through Cloudflare's own client where it has the call."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare

from serving import Served, serving

INT8 = "@cf/meta/llama-2-7b-chat-int8"
ACCOUNT = "0123456789abcdef"
ROOT = f"/client/v4/accounts/{ACCOUNT}/ai/"
BEARER = {"Authorization": "Bearer right"}
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
OWN = """
mine: {engine: echo, beta: true, description: A model of my own}
"@cf/meta/llama-3-8b-instruct": {engine: echo}
"@cf/meta/llama-3.1-8b-instruct": {retired: true}
"""
WORKER = """
from workers import Response

async def fetch(request, env, ctx):
    found = await env.AI.models({"search": "llama-2", "include_deprecated": True, "per_page": 2})
    return Response.json([found, found[0].name])
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "entry.py").write_text(WORKER)
    (folder / "wrangler.toml").write_text('name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n')
    (folder / "models.yaml").write_text(OWN)
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def cloudflare(pilot: Served) -> AsyncIterator[AsyncCloudflare]:
    async with AsyncCloudflare(api_token="right", base_url=f"{pilot.url}/client/v4", max_retries=0) as client:
        yield client


async def get(pilot: Served, path: str, headers: dict[str, str] = BEARER) -> tuple[int, Any]:
    async with pilot.http.get(pilot.url + ROOT + path, headers=headers) as response:
        assert response.headers["content-type"] == "application/json"
        return response.status, json.loads(await response.read())


async def names(pilot: Served, filters: str) -> list[str]:
    status, body = await get(pilot, f"models/search?{filters}")
    assert (status, body["success"]) == (200, True)
    return [item["name"] for item in body["result"]]


async def test_the_client_pages_until_there_is_nothing_left(cloudflare: AsyncCloudflare) -> None:
    pages = cloudflare.ai.models.list(account_id=ACCOUNT, include_deprecated=True, per_page=20)
    found: list[Any] = [item async for item in pages]
    ids = [item["name"] for item in found]
    assert len(ids) == len(set(ids)) > 80
    assert {INT8, "mine"} <= set(ids)


async def test_an_item_is_upstreams(pilot: Served) -> None:
    _, body = await get(pilot, "models/search?search=LLAMA-2-7b-chat-int8&include_deprecated=true")
    [item] = body["result"]
    properties = {entry["property_id"]: entry["value"] for entry in item.pop("properties")}
    task = item.pop("task")
    assert item == {
        "id": "9c95c39d-45b3-4163-9631-22f0c0dc3b14",
        "source": 1,
        "name": INT8,
        "description": "",
        "created_at": "2023-09-25 19:21:11.898",
        "tags": [],
        "deprecated": True,
    }
    assert (task["id"], task["name"]) == ("c329a1f9-323d-4e91-b2aa-582dd4188d34", "Text Generation")
    assert properties["context_window"] == "8192"
    assert properties["planned_deprecation_date"] == "2026-05-30"
    assert {"unit": "per M input tokens", "price": 0, "currency": "USD"} in properties["price"]
    assert body["result_info"] == {"count": 1, "page": 1, "per_page": 1000, "total_count": 1, "total_pages": 1}


async def test_property_values_are_strings_but_for_the_price(pilot: Served) -> None:
    _, body = await get(pilot, "models/search?include_deprecated=true")
    for item in body["result"]:
        assert re.fullmatch(UUID, item["id"]), item["name"]
        for entry in item["properties"]:
            assert isinstance(entry["value"], list if entry["property_id"] == "price" else str)


async def test_the_filters(pilot: Served) -> None:
    current = await names(pilot, "")
    assert INT8 not in current
    assert "@cf/meta/llama-3-8b-instruct" in current  # upstream retired it; the project names it itself
    everything = await names(pilot, "include_deprecated=true")
    assert INT8 in everything
    assert set(current) < set(everything)
    meta = await names(pilot, "author=meta&include_deprecated=true")
    assert meta
    assert all(name.startswith(("@cf/meta/", "@hf/meta/")) for name in meta)
    embeddings = await names(pilot, "task=Text%20Embeddings")
    assert "@cf/baai/bge-base-en-v1.5" in embeddings
    assert INT8 not in embeddings
    assert {name.split("/")[0] for name in await names(pilot, "source=2&include_deprecated=true")} == {"@hf"}
    assert await names(pilot, "search=of+my+OWN") == ["mine"]
    assert "mine" not in await names(pilot, "hide_experimental=true")
    assert await names(pilot, "search=no-such-thing") == []


async def test_pages_are_disjoint_and_end(pilot: Served) -> None:
    """Wrangler asks for 50 at a time and stops at a page that is shorter."""
    first = await names(pilot, "per_page=50&page=1&include_deprecated=true")
    second = await names(pilot, "per_page=50&page=2&include_deprecated=true")
    third = await names(pilot, "per_page=50&page=3&include_deprecated=true")
    assert len(first) == len(second) == 50 > len(third) > 0
    assert not set(first) & set(second)
    status, past = await get(pilot, "models/search?per_page=50&page=99999999999999999999&include_deprecated=true")
    assert (status, past["result"], past["result_info"]["count"]) == (200, [], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "page=0",
        "page=x",
        "page=-1",
        "per_page=0",
        "per_page=1.5",
        "source=cf",
        "hide_experimental=perhaps",
        "format=csv",
        "page=" + "9" * 5000,
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused(pilot: Served, wrong: str) -> None:
    status, body = await get(pilot, f"models/search?{wrong}")
    assert (status, body["errors"][0]["code"], body["success"]) == (400, 5006, False)


async def test_what_nobody_knows_and_what_is_empty_is_let_pass(pilot: Served) -> None:
    assert await names(pilot, "") == await names(pilot, "author=&search=&page=&colour=blue")


async def test_the_marketplaces_format(pilot: Served) -> None:
    _, body = await get(pilot, "models/search?format=openrouter&include_deprecated=true&search=llama-2-7b-chat-int8")
    [item] = body["data"]
    assert body["result"] == [item]
    assert (item["id"], item["context_length"], item["created"]) == (INT8, 8192, 1695669671)
    assert item["hugging_face_id"] == "meta-llama/Llama-2-7b-chat-hf"
    assert item["input_modalities"] == item["output_modalities"] == ["text"]
    assert "temperature" in item["supported_sampling_parameters"]


async def test_tasks_and_authors(cloudflare: AsyncCloudflare) -> None:
    tasks: list[Any] = [item async for item in cloudflare.ai.tasks.list(account_id=ACCOUNT)]
    assert {"Text Generation", "Text Embeddings", "Translation"} <= {task["name"] for task in tasks}
    assert all(re.fullmatch(UUID, task["id"]) and task["description"] for task in tasks)
    authors: list[Any] = [item async for item in cloudflare.ai.authors.list(account_id=ACCOUNT)]
    assert {"meta", "mistral", "baai"} <= {author["name"] for author in authors}


async def test_the_schema_through_the_client(cloudflare: AsyncCloudflare, pilot: Served) -> None:
    found: Any = await cloudflare.ai.models.schema.get(account_id=ACCOUNT, model=INT8)
    prompt, _ = found.input.oneOf
    assert prompt["properties"]["max_tokens"]["default"] == 256
    assert prompt["properties"]["top_p"] == {"type": "number", "minimum": 0.001, "maximum": 1}
    status, body = await get(pilot, "models/schema/?model=%40cf%2Fnone%2Fsuch")
    assert (status, body["errors"][0]["code"]) == (400, 5007)
    status, body = await get(pilot, "models/schema")
    assert (status, body["errors"][0]["code"]) == (400, 5006)


async def test_a_retired_model_is_described_all_the_same(pilot: Served) -> None:
    retired = "@cf/meta/llama-3.1-8b-instruct"
    assert retired in await names(pilot, "include_deprecated=true")
    status, _ = await get(pilot, f"models/schema?model={retired}")
    assert status == 200


async def test_credentials_and_methods(pilot: Served) -> None:
    for path in ("models/search", "models/schema", "tasks/search", "authors/search/"):
        status, body = await get(pilot, path, headers={})
        assert (status, body["errors"][0]["code"]) == (400, 9106)
        async with pilot.http.post(pilot.url + ROOT + path, headers=BEARER) as response:
            assert (response.status, response.headers["allow"]) == (405, "GET")


async def test_a_worker_asks_the_same(pilot: Served) -> None:
    _, text = await pilot.ask()
    found, name = json.loads(text)
    assert len(found) == 2
    assert name == found[0]["name"]
    assert "llama-2" in name
