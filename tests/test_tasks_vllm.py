"""Embeddings, rerankers and classifiers on the real vLLM, held against what transformers computes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from conftest import Pilot
from serving import serving, write
from task_models import pooled_by_cls, tiny_bert

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

BGE, M3 = "@cf/baai/bge-small-en-v1.5", "@cf/baai/bge-m3"
RERANKER, SENTIMENT = "@cf/baai/bge-reranker-base", "@cf/huggingface/distilbert-sst-2-int8"
TEXTS = ["the sun is hot", "people swim in the sea in july"]
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}


class Models:
    """The models, as transformers has them and as the pilot serves them."""

    def __init__(self, folder: Path) -> None:
        self.encoder = tiny_bert(folder / "encoder")
        pooled_by_cls(folder / "encoder")
        self.judge = tiny_bert(folder / "judge", "BertForSequenceClassification", id2label=LABELS,
                               label2id={name: number for number, name in LABELS.items()})
        encoder, judge = (f"engine: vllm, vllm: {{model: {folder}/{name}, dtype: float32}}"
                          for name in ("encoder", "judge"))
        self.rows = (f'"{BGE}": {{{encoder}}}\n"{M3}": {{{encoder}, pooling: mean}}\n'
                     f'"{RERANKER}": {{{judge}}}\n"{SENTIMENT}": {{{judge}}}\n')

    def vectors(self, text: str) -> Any:
        """One row per token, as tensors."""
        import torch

        with torch.no_grad():
            return self.encoder(**self.encoder.tokenizer(text, return_tensors="pt")).last_hidden_state[0]

    def verdict(self, *texts: str) -> list[float]:
        """Probabilities by label."""
        import torch

        asked = self.judge.tokenizer(*texts, return_tensors="pt")
        with torch.no_grad():
            found: list[float] = self.judge(**asked).logits[0].softmax(-1).tolist()
        return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(models: Models, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pilot]:
    folder = tmp_path_factory.mktemp("worker")
    write(folder, "async def fetch(request, env, ctx): ...", '[ai]\nbinding = "AI"\n', {"models.yaml": models.rows})
    async with serving(folder) as pilot:
        yield pilot


async def run(pilot: Pilot, model: str, inputs: Any) -> tuple[int, dict[str, Any]]:
    path = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}"
    timeout, bearer = aiohttp.ClientTimeout(total=380), {"authorization": "Bearer x"}
    data = inputs if isinstance(inputs, bytes) else json.dumps(inputs)
    async with aiohttp.request("POST", path, data=data, headers=bearer, timeout=timeout) as response:
        assert "cf-ai-stand-in" not in response.headers
        return response.status, await response.json()


async def result(pilot: Pilot, model: str, inputs: Any) -> Any:
    status, body = await run(pilot, model, inputs)
    assert status == 200, body
    return body["result"]


def unit(vector: Any) -> Any:
    return pytest.approx((vector / vector.norm()).tolist(), abs=1e-4)


async def test_mean_is_forced_on_a_model_that_says_cls(pilot: Pilot, models: Models) -> None:
    found = await result(pilot, BGE, {"text": TEXTS})
    assert (found["shape"], found["pooling"]) == ([2, 64], "mean")
    assert found["data"] == [unit(models.vectors(text).mean(0)) for text in TEXTS]
    by_cls = await result(pilot, BGE, {"text": TEXTS, "pooling": "cls"})
    assert by_cls["pooling"] == "cls"
    assert by_cls["data"] == [unit(models.vectors(text)[0]) for text in TEXTS]


async def test_a_long_text_is_cut_or_refused(pilot: Pilot, models: Models) -> None:
    found = await result(pilot, BGE, {"text": "sun " * 100})
    assert found["data"] == [unit(models.vectors("sun " * 62).mean(0))]  # 64 with [CLS] and [SEP]
    assert await result(pilot, M3, {"text": "sun " * 100, "truncate_inputs": True})
    status, body = await run(pilot, M3, {"text": ["sun", "sun " * 100]})
    assert (status, body["errors"][0]["code"]) == (400, 3030)
    assert "Max context reached 102 tokens but model supports only 64" in body["errors"][0]["message"]


async def test_classes_come_as_a_bare_list(pilot: Pilot, models: Models) -> None:
    found = await result(pilot, SENTIMENT, {"text": "a good film"})
    assert [row["label"] for row in found] == ["NEGATIVE", "POSITIVE"]
    assert [row["score"] for row in found] == pytest.approx(models.verdict("a good film"), abs=1e-4)


async def test_contexts_are_ranked(pilot: Pilot, models: Models) -> None:
    """By the score of each pair; the tokens of the two texts are told apart."""
    query, texts = "people swim", ["the sea in july", "a ledger of assets", "sun", "people " * 100]
    asked = {"query": query, "contexts": [{"text": text} for text in texts]}
    found = (await result(pilot, RERANKER, asked))["response"]
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    expected = [models.verdict(query, text)[1] for text in [*texts[:3], "people " * 59]]
    assert {row["id"]: row["score"] for row in found} == pytest.approx(dict(enumerate(expected)), abs=1e-4)
    assert (await result(pilot, RERANKER, {**asked, "top_k": 2}))["response"] == [
        {"id": row["id"], "score": pytest.approx(row["score"], abs=1e-5)} for row in found[:2]]


@pytest.mark.parametrize(("model", "inputs", "text"), [
    (RERANKER, {"query": "a"}, "required properties at '/' are 'contexts'"),
    (RERANKER, {"query": "", "contexts": []}, "Length of '/query' must be >= 1, Length of '/contexts' must be >= 1"),
    (RERANKER, {"query": "a", "contexts": [{"text": "a"}], "top_k": 0}, "'/top_k' must be >= 1"),
    (RERANKER, {"query": "a", "contexts": [{"text": "a"}], "top_k": "1"},
     "Type mismatch of '/top_k', 'string' not in 'integer'"),
    (SENTIMENT, {}, "required properties at '/' are 'text'"),
    (SENTIMENT, {"text": ["a"]}, "Type mismatch of '/text', 'array' not in 'string'"),
])
async def test_bad_inputs_are_5006(pilot: Pilot, model: str, inputs: Any, text: str) -> None:
    status, body = await run(pilot, model, inputs)
    assert (status, body["errors"][0]["code"]) == (400, 5006)
    assert text in body["errors"][0]["message"]
