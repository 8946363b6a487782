"""Embeddings, rerankers and classifiers on the real vLLM, held against what transformers computes."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from dev_server import Pilot
from runtime.supervisor.telemetry.metrics import PATH
from serving import serving, write
from task_models import greedy, pooled_by_cls, tiny_bert, tiny_whisper

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.vllm]

BGE, M3 = "@cf/baai/bge-small-en-v1.5", "@cf/baai/bge-m3"
RERANKER, SENTIMENT = "@cf/baai/bge-reranker-base", "@cf/huggingface/distilbert-sst-2-int8"
WHISPER, TURBO = "@cf/openai/whisper", "@cf/openai/whisper-large-v3-turbo"
TEXTS = ["the sun is hot", "people swim in the sea in july"]
WORKER = f"""
from workers import Response

async def fetch(request, env, ctx):
    found = await env.AI.run("{SENTIMENT}", {{"text": "a good film"}})
    return Response.json([row.label for row in found])
"""
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}


class Models:
    """The models, as transformers has them and as the pilot serves them."""

    def __init__(self, folder: Path) -> None:
        self.encoder = tiny_bert(folder / "encoder")
        pooled_by_cls(folder / "encoder")
        self.judge = tiny_bert(
            folder / "judge",
            "BertForSequenceClassification",
            id2label=LABELS,
            label2id={name: number for number, name in LABELS.items()},
        )
        self.listener = tiny_whisper(folder / "listener")
        encoder, judge, listener = (
            f"engine: vllm, vllm: {{model: {folder}/{name}, dtype: float32}}"
            for name in ("encoder", "judge", "listener")
        )
        self.rows = (
            f'"{BGE}": {{{encoder}}}\n"{M3}": {{{encoder}, pooling: mean}}\n'
            f'"{RERANKER}": {{{judge}}}\n"{SENTIMENT}": {{{judge}}}\n'
            f'"{WHISPER}": {{{listener}}}\n"{TURBO}": {{{listener}}}\n'
        )

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
    config = '[ai]\nbinding = "AI"\n[pilot]\nengine_metrics = true\n'
    write(folder, WORKER, config, {"models.yaml": models.rows})
    async with serving(folder) as pilot:
        yield pilot


def recording(seconds: float) -> tuple[bytes, Any]:
    """A WAV file of a tone that swells, and its samples."""
    import numpy as np

    time = np.arange(int(seconds * 16_000))
    waves = (8000 * np.sin(time * 0.1) * np.sin(time / 900)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16_000, 0, "NONE", ""))
        written.writeframes(waves.tobytes())
    return file.getvalue(), waves.astype(np.float32) / 32768


async def run(pilot: Pilot, model: str, inputs: Any) -> tuple[int, dict[str, Any]]:
    path = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}"
    timeout, bearer = aiohttp.ClientTimeout(total=380), {"authorization": "Bearer x"}
    data = io.BytesIO(inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode())
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


async def test_a_worker_gets_the_bare_list(pilot: Pilot) -> None:
    timeout = aiohttp.ClientTimeout(total=380)
    async with aiohttp.request("GET", pilot.url, timeout=timeout) as response:
        assert (response.status, await response.json()) == (200, ["NEGATIVE", "POSITIVE"])


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
        {"id": row["id"], "score": pytest.approx(row["score"], abs=1e-5)} for row in found[:2]
    ]


def timed(tokens: list[str], end: float) -> list[dict[str, Any]]:
    """Segments by hand: what is said between time stamps, none later than the end."""
    text, *others = re.split(r"<\|([0-9.]+)\|>", "".join(tokens).removesuffix("<|endoftext|>"))
    found, start = [], 0.0
    for stamp, after in zip([*others[::2], str(end)], [*others[1::2], ""], strict=True):
        time = min(float(stamp), end)
        if text:
            found.append({"start": start, "end": max(start, time), "text": text})
        text, start = after, time
    return found


@pytest.mark.skipif(find_spec("av") is None, reason="PyAV is not installed")
async def test_a_recording_is_written_down(pilot: Pilot, models: Models) -> None:
    """As transformers writes it down; the recording comes as a body, as numbers and as base64."""
    file, samples = recording(10)
    before = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|0.00|>"]
    said = timed(greedy(models.listener, samples, before), 10.0)
    assert len(said) > 1
    text = " ".join(each["text"] for each in said)
    asked = {"audio": base64.b64encode(file).decode(), "language": "en"}
    found = await result(pilot, TURBO, asked)
    assert [{name: each[name] for name in ("start", "end", "text")} for each in found["segments"]] == said
    assert (found["text"], found["word_count"]) == (text, len(text.split()))
    assert found["transcription_info"] == {"language": "en", "duration": 10.0}
    assert list(found) == ["transcription_info", "text", "word_count", "segments", "vtt"]
    plain = await result(pilot, WHISPER, {"audio": list(file), "language": "en"})
    assert plain == {"text": text, "word_count": len(text.split()), "vtt": found["vtt"]}
    assert plain["vtt"].startswith(f"WEBVTT\n\n00:00:00.000 --> 00:00:{said[0]['end']:06.3f}\n{said[0]['text']}\n")
    heard = await result(pilot, WHISPER, file)  # whose language is found out
    assert heard["word_count"] == len(heard["text"].split())


@pytest.mark.skipif(find_spec("av") is None, reason="PyAV is not installed")
async def test_a_long_recording_is_heard_to_its_end(pilot: Pilot) -> None:
    file, _ = recording(65)
    asked = {"audio": {"body": base64.b64encode(file).decode(), "contentType": "audio/wav"}, "task": "translate"}
    found = await result(pilot, TURBO, {**asked, "language": "de", "initial_prompt": "a b"})
    assert found["transcription_info"] == {"language": "de", "duration": 65.0}
    assert max(each["start"] for each in found["segments"]) > 57
    assert all(0 <= each["start"] <= each["end"] <= 65 for each in found["segments"])


@pytest.mark.parametrize(
    ("model", "inputs", "text"),
    [
        (TURBO, {}, "required properties at '/' are 'audio'"),
        (TURBO, {"audio": "UklGRg==", "task": "sing"}, "'/task' must be one of 'transcribe,translate'"),
        (TURBO, {"audio": "UklGRg==", "vad_filter": True}, "'/vad_filter' is not served here"),
        (TURBO, {"audio": "UklGRg==", "language": "tlh"}, "'/language' 'tlh' is not one of the model's"),
        (WHISPER, b"nothing but noise", "'/audio' cannot be read"),
        (WHISPER, b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n", "'/audio' cannot be read"),
        (WHISPER, {"audio": [1, 2, 3]}, "'/audio' cannot be read"),
        (RERANKER, {"query": "a"}, "required properties at '/' are 'contexts'"),
        (
            RERANKER,
            {"query": "", "contexts": []},
            "Length of '/query' must be >= 1, Length of '/contexts' must be >= 1",
        ),
        (RERANKER, {"query": "a", "contexts": [{"text": "a"}], "top_k": 0}, "'/top_k' must be >= 1"),
        (
            RERANKER,
            {"query": "a", "contexts": [{"text": "a"}], "top_k": "1"},
            "Type mismatch of '/top_k', 'string' not in 'integer'",
        ),
        (SENTIMENT, {}, "required properties at '/' are 'text'"),
        (SENTIMENT, {"text": ["a"]}, "Type mismatch of '/text', 'array' not in 'string'"),
    ],
)
async def test_bad_inputs_are_5006(pilot: Pilot, model: str, inputs: Any, text: str) -> None:
    status, body = await run(pilot, model, inputs)
    assert (status, body["errors"][0]["code"]) == (400, 5006)
    assert text in body["errors"][0]["message"]


async def test_vllms_own_metrics_are_passed_on(pilot: Pilot) -> None:
    """Each engine under the model it was first asked for; the families of both as one."""
    for model, inputs in ((BGE, {"text": "a"}), (RERANKER, {"query": "a", "contexts": [{"text": "b"}]})):
        assert (await run(pilot, model, inputs))[0] == 200
    async with aiohttp.request("GET", pilot.url + PATH) as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    samples = [each for each in families["vllm:prompt_tokens"].samples if each.name == "vllm:prompt_tokens_total"]
    assert {Path(each.labels["model_name"]).name for each in samples} >= {"encoder", "judge"}
    assert all(each.value > 0 for each in samples)
    assert {each.labels["model"] for each in samples} <= {BGE, M3, RERANKER, SENTIMENT, WHISPER, TURBO}
    assert "pilot_ai_requests" in families
