"""Tasks other than text generation, through both doors: the embedded embedding model is real."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bindings.ai.tasks import guard
from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

BGE, M3, QWEN = "@cf/baai/bge-small-en-v1.5", "@cf/baai/bge-m3", "@cf/qwen/qwen3-embedding-0.6b"
GEMMA, RERANKER = "@cf/google/embeddinggemma-300m", "@cf/baai/bge-reranker-base"
GUARD, LLAVA, WHISPER = "@cf/meta/llama-guard-3-8b", "@cf/llava-hf/llava-1.5-7b-hf", "@cf/openai/whisper"
WORKER = (
    ROUTER
    + """
from workers import Response
async def run(request, env):
    asked = await request.json()
    result = await env.AI.run(asked["model"], asked["inputs"])
    return Response.json(result)

async def code(request, env):
    asked = await request.json()
    try:
        await env.AI.run(asked["model"], asked["inputs"])
    except Exception as error:
        return Response.json({"name": error.name, "message": str(error)})
"""
)
SUMMER, BEACH, LEDGER = "A hot day in July", "People swim in the sea in summer", "Depreciation of fixed assets"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("tasks")
    write(folder, WORKER, '[ai]\nbinding = "AI"\n')
    async with serving(folder) as pilot:
        yield pilot


async def rest(pilot: Served, model: str, inputs: Any, **headers: str) -> tuple[int, dict[str, Any], Any]:
    """(status, body, headers); inputs that are bytes go as they are."""
    data = inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode()
    path = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}"
    given = {"authorization": "Bearer x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with pilot.http.post(path, data=data, headers=given) as response:
        return response.status, await response.json(), response.headers


async def result(pilot: Served, model: str, inputs: Any) -> dict[str, Any]:
    status, body, _ = await rest(pilot, model, inputs)
    assert status == 200, body
    found: dict[str, Any] = body["result"]
    return found


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


async def test_embeddings(pilot: Served) -> None:
    status, body, headers = await rest(pilot, BGE, {"text": [SUMMER, BEACH, LEDGER]})
    assert (status, body["success"], body["errors"]) == (200, True, [])
    found = body["result"]
    assert (found["shape"], found["pooling"], list(found)) == ([3, 384], "mean", ["shape", "data", "pooling"])
    assert headers["cf-ai-stand-in"] == "all-MiniLM-L6-v2"
    summer, beach, ledger = found["data"]
    assert math.hypot(*summer) == pytest.approx(1)
    assert cosine(summer, beach) > cosine(summer, ledger) + 0.1
    one = await result(pilot, BGE, {"text": SUMMER, "pooling": None})
    assert (one["shape"], one["data"][0]) == ([1, 384], pytest.approx(summer, abs=1e-4))


@pytest.mark.parametrize(
    ("text", "mean", "cls"),
    [
        (
            "How is the weather in New York today?",
            [0.02063, -0.00792, 0.13244, 0.06723, -0.01044, -0.04434, 0.01907, -0.07923],
            [0.00883, 0.0133, 0.10174, 0.04798, -0.01753, -0.06015, 0.01926, -0.09364],
        ),
        (
            "Naïve café, 人工智能 isn't 1,000.50$ ☀️!",
            [0.04963, 0.05695, -0.00349, 0.03606, -0.04063, -0.02686, 0.10169, -0.02121],
            [0.01637, 0.02308, 0.01025, 0.05217, 0.00838, -0.01123, 0.05874, -0.03929],
        ),
    ],
)
async def test_the_vectors_are_those_of_the_original_model(
    pilot: Served, text: str, mean: list[float], cls: list[float]
) -> None:
    """The first components as transformers and torch compute them from the same weights."""
    for pooling, expected in (("mean", mean), ("cls", cls)):
        found = await result(pilot, BGE, {"text": text, "pooling": pooling})
        assert found["pooling"] == pooling
        assert found["data"][0][:8] == pytest.approx(expected, abs=5e-4)


async def test_a_long_text_is_cut_and_a_full_request_is_served(pilot: Served) -> None:
    long, longer = "sun and sea " * 200, "sun and sea " * 400
    found = await result(pilot, BGE, {"text": [long, longer, *["word"] * 98]})
    assert found["shape"] == [100, 384]
    assert found["data"][0] == pytest.approx(found["data"][1], abs=1e-4)


async def test_bge_m3_has_three_forms(pilot: Served) -> None:
    texts = await result(pilot, M3, {"text": [SUMMER, BEACH]})
    assert (texts["shape"], texts["pooling"]) == ([2, 384], "mean")
    contexts = [{"text": LEDGER}, {"text": BEACH}]
    vectors = await result(pilot, M3, {"contexts": contexts, "truncate_inputs": True})
    assert (vectors["shape"], len(vectors["response"][1]), "data" in vectors) == ([2, 384], 384, False)
    [best, other] = (await result(pilot, M3, {"query": SUMMER, "contexts": contexts}))["response"]
    assert (best["id"], other["id"]) == (1, 0)
    assert best["score"] == pytest.approx(cosine(*texts["data"]), abs=1e-3)
    assert best["score"] > other["score"]


async def test_qwen_and_gemma(pilot: Served) -> None:
    asked = {"queries": ["What is hot?"], "documents": [SUMMER, LEDGER], "instruction": "Find the weather"}
    found = await result(pilot, QWEN, asked)
    assert (found["shape"], list(found)) == ([3, 384], ["data", "shape"])
    assert (await result(pilot, QWEN, {"text": SUMMER}))["data"][0] == pytest.approx(found["data"][1], abs=1e-3)
    gemma = await result(pilot, GEMMA, {"text": SUMMER})
    assert (gemma["shape"], sorted(gemma)) == ([1, 384], ["data", "shape"])


@pytest.mark.parametrize(
    ("model", "inputs", "text"),
    [
        (
            BGE,
            {},
            "oneOf at '/' not met, 0 matches: required properties at '/' are 'text', "
            "required properties at '/' are 'requests'",
        ),
        (BGE, {"text": ""}, "Length of '/text' must be >= 1"),
        (BGE, {"text": []}, "Length of '/text' must be >= 1"),
        (BGE, {"text": ["a"] * 101}, "Length of '/text' must be <= 100"),
        (BGE, {"text": ["a", 1]}, "Type mismatch of '/text/1', 'integer' not in 'string'"),
        (BGE, {"text": {"a": 1}}, "Type mismatch of '/text', 'object' not in 'string,array'"),
        (BGE, {"text": "a", "pooling": "max"}, "'/pooling' must be one of 'mean,cls'"),
        (BGE, {"text": "a", "pooling": []}, "'/pooling' must be one of 'mean,cls'"),
        (M3, {"query": "a"}, "required properties at '/' are 'contexts'"),
        (M3, {"query": "", "contexts": [{"text": "a"}]}, "Length of '/query' must be >= 1"),
        (M3, {"query": "a", "contexts": [{}]}, "required properties at '/contexts/0' are 'text'"),
        (M3, {"contexts": ["a"]}, "Type mismatch of '/contexts/0', 'string' not in 'object'"),
        (M3, {"text": "a", "truncate_inputs": 1}, "Type mismatch of '/truncate_inputs', 'integer' not in 'boolean'"),
        (QWEN, {"instruction": "x"}, "required properties at '/' are 'queries'"),
        (QWEN, {"documents": ["a"] * 33}, "Length of '/documents' must be <= 32"),
    ],
)
async def test_bad_inputs_are_5006(pilot: Served, model: str, inputs: Any, text: str) -> None:
    status, body, headers = await rest(pilot, model, inputs)
    error = body["errors"][0]
    assert (status, error["code"], body["success"], body["result"]) == (400, 5006, False, {})
    assert error["message"].startswith("AiError: Bad input: Error: ")
    assert text in error["message"]
    assert headers["cf-ai-req-id"] in error["message"]


async def test_from_a_worker(pilot: Served) -> None:
    status, text = await pilot.ask("/run", "POST", json={"model": BGE, "inputs": {"text": [SUMMER]}})
    assert status == 200
    assert json.loads(text)["shape"] == [1, 384]
    _, text = await pilot.ask("/code", "POST", json={"model": BGE, "inputs": {"text": []}})
    assert json.loads(text) == {"name": "AiError", "message": "5006: Error: Length of '/text' must be >= 1"}


async def test_a_guards_verdict(pilot: Served) -> None:
    """Echo says what the last message says."""
    said = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "unsafe\nS1,S10"}]
    found = await result(pilot, GUARD, {"messages": said, "stream": True})
    assert (found["response"], list(found)) == ("unsafe S1,S10", ["response", "usage"])
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    asked = {"messages": [{"role": "user", "content": "safe"}], "response_format": {"type": "json_object"}}
    assert (await result(pilot, GUARD, asked))["response"] == {"safe": True, "categories": []}


async def test_a_verdict_as_json() -> None:
    assert guard.verdict_of("unsafe\nS1, S10") == {"safe": False, "categories": ["S1", "S10"]}
    assert guard.verdict_of("Safe \n") == {"safe": True, "categories": []}
    assert guard.verdict_of("") == {"safe": False, "categories": []}


ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."


@pytest.mark.parametrize(
    ("model", "inputs", "code", "text"),
    [
        (GUARD, {"prompt": "a"}, 5006, "required properties at '/' are 'messages'"),
        (GUARD, {"messages": [{"role": "user", "content": "a"}] * 2}, 5006, ALTERNATE),
        (GUARD, {"messages": [{"role": "assistant", "content": "a"}]}, 5006, ALTERNATE),
        (GUARD, {"messages": []}, 5006, "/messages"),
        (GUARD, {"messages": "a"}, 5006, "Type mismatch of '/messages'"),
        (
            GUARD,
            {"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_schema"}},
            5006,
            "'/response_format/type' must be one of 'json_object'",
        ),
        (LLAVA, {"prompt": "a"}, 5006, "required properties at '/' are 'image'"),
        (LLAVA, {"image": [256]}, 5006, "'/image' must hold integers between 0 and 255"),
        (LLAVA, {"image": ["a"]}, 5006, "'/image' must hold integers between 0 and 255"),
        (LLAVA, {"image": 1}, 5006, "Type mismatch of '/image', 'integer' not in 'array,string'"),
        (LLAVA, {"image": []}, 5006, "Length of '/image' must be >= 1"),
        (LLAVA, {"image": [1, 2]}, 5006, "'/image' is no image"),
        (LLAVA, {"image": "not base64"}, 5004, "Invalid data type for base64 input: `string`"),
        (LLAVA, b"[1]", 5006, "Type mismatch of '/', 'array' not in 'object'"),
        (LLAVA, b"", 3003, "Request is missing headers or body: body"),
        (RERANKER, {"query": "a", "contexts": [{"text": "a"}]}, 5007, "no configured engine serves the task Reranking"),
        (WHISPER, {"audio": [1]}, 5007, "write `engine: vllm` under '@cf/openai/whisper' in models.yaml"),
        (
            "@cf/meta/m2m100-1.2b",
            {"text": "a", "target_lang": "fr"},
            5007,
            "no engine here serves the task Translation",
        ),
        ("@cf/black-forest-labs/flux-1-schnell", {"prompt": "a"}, 5007, "no engine here serves the task Text-to-Image"),
    ],
)
async def test_what_is_refused(pilot: Served, model: str, inputs: Any, code: int, text: str) -> None:
    status, body, _ = await rest(pilot, model, inputs)
    assert (status, body["errors"][0]["code"]) == (400, code), body
    assert text in body["errors"][0]["message"]
