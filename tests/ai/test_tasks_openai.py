"""Embeddings, ranking and speech by other people's servers: llama.cpp's own, and one that keeps to OpenAI's forms."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bindings.ai.engine import weights
from dev_server import Pilot
from models_support import silent
from serving import serving, write
from tasks_support import Upstream
from upstream import upstream as chatting

pytestmark = pytest.mark.asyncio(loop_scope="module")

BGE, QWEN = "@cf/baai/bge-small-en-v1.5", "@cf/qwen/qwen3-embedding-0.6b"
RERANKER, TURBO = "@cf/baai/bge-reranker-base", "@cf/openai/whisper-large-v3-turbo"
LLAVA = "@cf/llava-hf/llava-1.5-7b-hf"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


async def llama_server() -> Any:
    """llama.cpp's own HTTP server with the embedded embedding model."""
    xllamacpp = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(await weights.embedded_model(silent, weights.MINILM))
    params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx, params.n_parallel, params.n_batch, params.n_ubatch, params.ui, params.verbosity = (
        1024,
        2,
        512,
        512,
        False,
        1,
    )
    return await asyncio.to_thread(xllamacpp.Server, params)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(task_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pilot]:
    llama = await llama_server()
    embeds = f"engine: openai, model: minilm, options: {{base_url: '{llama.listening_address}/v1', api_key: k}}"
    others = f"engine: openai, model: acme, options: {{base_url: '{task_upstream.url}', api_key: k}}"
    sentiment = f"task: Text Classification, {others}"
    rows = {BGE: embeds, QWEN: embeds, RERANKER: others, TURBO: others, "sentiment": sentiment}
    folder = tmp_path_factory.mktemp("tasks")
    models = "\n".join(f'"{id}": {{{row}}}' for id, row in rows.items())
    write(folder, "async def fetch(request, env, ctx): ...", '[ai]\nbinding = "AI"\n', {"models.yaml": models})
    async with serving(folder) as pilot:
        yield pilot
    del llama


async def run(pilot: Pilot, model: str, inputs: Any) -> tuple[int, dict[str, Any]]:
    path = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}"
    data = inputs if isinstance(inputs, bytes) else json.dumps(inputs)
    async with aiohttp.request("POST", path, data=data, headers={"authorization": "Bearer x"}) as response:
        assert "cf-ai-stand-in" not in response.headers
        return response.status, await response.json()


async def test_embeddings(pilot: Pilot) -> None:
    status, body = await run(pilot, BGE, {"text": ["How is the weather in New York today?", "b"]})
    assert (status, body["result"]["shape"], body["result"]["pooling"]) == (200, [2, 384], "mean")
    assert body["result"]["data"][0][:3] == pytest.approx([0.02063, -0.00792, 0.13244], abs=5e-4)
    status, body = await run(pilot, QWEN, {"queries": "a", "documents": ["b", "c"]})
    assert (status, body["result"]["shape"]) == (200, [3, 384])


async def test_what_the_server_cannot_do_is_refused(pilot: Pilot, task_upstream: Upstream) -> None:
    status, body = await run(pilot, BGE, {"text": "a", "pooling": "cls"})
    assert (status, body["errors"][0]["code"]) == (400, 5006)
    assert "'/pooling' must be 'mean'" in body["errors"][0]["message"]
    status, body = await run(pilot, "sentiment", {"text": "a"})
    assert (status, body["errors"][0]["code"]) == (400, 5007)
    task_upstream.short = True
    status, body = await run(pilot, RERANKER, {"query": "a", "contexts": [{"text": "b"}, {"text": "c"}]})
    task_upstream.short = False
    assert (status, body["errors"][0]["code"]) == (500, 3043)


async def test_ranking(pilot: Pilot, task_upstream: Upstream) -> None:
    status, body = await run(pilot, RERANKER, {"query": "a", "contexts": [{"text": "b"}, {"text": "ccc"}]})
    assert (status, body["result"]) == (200, {"response": [{"id": 1, "score": 0.3}, {"id": 0, "score": 0.1}]})
    assert task_upstream.asked[-1] == {"model": "acme", "query": "a", "documents": ["b", "ccc"]}


async def test_speech(pilot: Pilot, task_upstream: Upstream) -> None:
    recording = {"body": "UklGRg==", "contentType": "audio/wav"}
    status, body = await run(pilot, TURBO, {"audio": recording, "language": "en"})
    assert (status, body["result"]["text"], body["result"]["word_count"]) == (200, "Hello you.", 2)
    assert body["result"]["transcription_info"] == {"language": "en", "duration": 2.0}
    assert body["result"]["vtt"] == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello\n\n00:00:01.500 --> 00:00:02.000\nyou.\n"
    )
    asked = {"path": "/v1/audio/transcriptions", "model": "acme", "response_format": "verbose_json", "language": "en"}
    assert task_upstream.asked[-1] == {**asked, "file": b"RIFF"}
    await run(pilot, TURBO, {"audio": [82, 73], "task": "translate", "initial_prompt": "So"})
    assert (task_upstream.asked[-1]["path"], task_upstream.asked[-1]["prompt"]) == ("/v1/audio/translations", "So")


async def test_an_image_is_described(tmp_path: Path) -> None:
    """As bytes of the body, of whatever type; as numbers; as base64: the server gets a user message with the image."""
    async with chatting() as server:
        row = f"engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}"
        files = {"models.yaml": f'"{LLAVA}": {{{row}}}\n'}
        write(tmp_path, "async def fetch(request, env, ctx): ...", '[ai]\nbinding = "AI"\n', files)
        async with serving(tmp_path) as pilot:
            text = base64.b64encode(PNG).decode()
            images = (list(PNG), text, f"data:image/png;base64,{text}")
            given = ({"image": image, "prompt": "What is it?"} for image in images)
            for inputs in (PNG, *given):
                status, body = await run(pilot, LLAVA, inputs)
                assert (status, body.get("result")) == (200, {"description": " word word word"}), body
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    prompts = ["Generate a caption for this image", *["What is it?"] * 3]
    assert [asked["max_tokens"] for asked in server.asked] == [512] * 4
    for asked, prompt in zip(server.asked, prompts, strict=True):
        [message] = asked["messages"]
        assert (message["role"], message["content"]) == ("user", [image, {"type": "text", "text": prompt}])
