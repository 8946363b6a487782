"""What clients of our peers call under ``/v1`` beside OpenAI's own: rankings, tokens, recordings, and nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from serving import Served, serving, write
from tasks_support import Upstream

MODEL, BGE = "@cf/meta/llama-3.1-8b-instruct", "@cf/baai/bge-small-en-v1.5"
RERANKER, TURBO, WHISPER = "@cf/baai/bge-reranker-base", "@cf/openai/whisper-large-v3-turbo", "@cf/openai/whisper"
SUMMER, BEACH, LEDGER = "A hot day in July", "People swim in the sea in summer", "Depreciation of fixed assets"
BEARER = {"Authorization": "Bearer any"}
WORKER = """
from workers import Response, URL

def fetch(request):
    return Response("the worker's " + URL(request.url).pathname)
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(task_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("peers")
    row = f"{{engine: openai, model: acme, options: {{base_url: '{task_upstream.url}', api_key: k}}}}"
    models = "".join(f'"{id}": {row}\n' for id in (RERANKER, TURBO, WHISPER))
    models += f"embedded: {{engine: llamacpp}}\nremote: {row}\n"
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": models})
    async with serving(folder) as pilot:
        yield pilot


async def post(pilot: Served, path: str, body: Any) -> tuple[int, Any]:
    status, text = await pilot.ask(path, "POST", data=json.dumps(body), headers=BEARER)
    return status, json.loads(text)


# Rankings


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/client/v4/accounts/a/ai/v1/rerank"])
async def test_a_rerank(pilot: Served, task_upstream: Upstream, path: str) -> None:
    asked = {"model": RERANKER, "query": "a", "documents": ["b", {"text": "cccc"}, "dd"], "top_n": 2}
    status, body = await post(pilot, path, asked)
    assert (status, body["model"], body["id"][:7]) == (200, RERANKER, "rerank-")
    assert body["results"] == [
        {"index": 1, "relevance_score": 0.4, "document": {"text": "cccc"}},
        {"index": 2, "relevance_score": 0.2, "document": {"text": "dd"}},
    ]
    assert (body["usage"], body["meta"]["tokens"]["input_tokens"]) == ({"prompt_tokens": 7, "total_tokens": 7}, 7)
    assert task_upstream.asked[-1]["documents"] == ["b", "cccc", "dd"]
    _, body = await post(pilot, path, {**asked, "return_documents": False, "top_n": 0})
    assert [list(one) for one in body["results"]] == [["index", "relevance_score"]] * 3


async def test_a_model_for_embeddings_ranks_by_the_cosine(pilot: Served) -> None:
    asked = {"model": BGE, "query": SUMMER, "documents": [LEDGER, BEACH, SUMMER]}
    status, body = await post(pilot, "/v1/rerank", asked)
    assert (status, [one["index"] for one in body["results"]]) == (200, [2, 1, 0])
    assert body["results"][0]["relevance_score"] == pytest.approx(1)
    assert body["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("names", [("text_1", "text_2"), ("queries", "documents"), ("queries", "items")])
async def test_scores(pilot: Served, task_upstream: Upstream, names: tuple[str, str]) -> None:
    async def scored(queries: Any, texts: Any) -> list[float]:
        status, body = await post(pilot, "/v1/score", {"model": RERANKER, names[0]: queries, names[1]: texts})
        assert (status, body["object"], body["data"][0]["object"]) == (200, "list", "score")
        assert [one["index"] for one in body["data"]] == [*range(len(body["data"]))]
        return [one["score"] for one in body["data"]]

    assert await scored("q", "aaa") == [0.3]
    assert await scored("q", ["aaa", "b"]) == [0.3, 0.1]
    assert await scored(["q"], ["aaa", "b"]) == [0.3, 0.1]
    since = len(task_upstream.asked)
    assert await scored(["q", "r", "q"], ["aaa", "b", "cc"]) == [0.3, 0.1, 0.2]
    assert sorted((one["query"], *one["documents"]) for one in task_upstream.asked[since:]) == [
        ("q", "aaa", "cc"),
        ("r", "b"),
    ]
    pairs = {"model": BGE, names[0]: [SUMMER, LEDGER], names[1]: [SUMMER, BEACH]}
    _, body = await post(pilot, "/v1/score", pairs)
    assert body["data"][0]["score"] == pytest.approx(1)
    assert body["data"][1]["score"] < 0.3


async def test_rankings_that_are_refused(pilot: Served) -> None:
    good = {"model": RERANKER, "query": "a", "documents": ["b"]}
    for path, body, told in [
        ("/v1/rerank", {**good, "query": None}, "query"),
        ("/v1/rerank", {**good, "documents": []}, "/documents"),
        ("/v1/rerank", {**good, "documents": ["a", {}]}, "/documents/1"),
        ("/v1/rerank", {**good, "top_n": -1}, "/top_n"),
        ("/v1/rerank", {**good, "model": MODEL}, "Text Generation"),
        ("/v1/rerank", {**good, "model": None}, "model"),
        ("/v1/score", {"model": RERANKER, "text_1": ["a", "b"], "text_2": ["c"]}, "/text_1"),
        ("/v1/score", {"model": RERANKER, "text_1": "a"}, "text_1,text_2"),
    ]:
        status, answer = await post(pilot, path, body)
        assert (status, told in json.dumps(answer)) == (400, True), (body, answer)


# Tokens


async def test_tokens_of_the_models_own_tokenizer(pilot: Served) -> None:
    asked = {"model": "embedded", "prompt": "Hello w\u00f6rld \U0001f926", "return_token_strs": True}
    status, body = await post(pilot, "/v1/tokenize", asked)
    assert (status, body["tokens"][0], body["token_strs"][0]) == (200, 19556, "Hello"), body
    assert body["count"] == len(body["tokens"]) == len(body["token_strs"])
    assert body["max_model_len"] > 1000
    status, told = await post(pilot, "/v1/detokenize", {"model": "embedded", "tokens": body["tokens"]})
    assert (status, told) == (200, {"prompt": asked["prompt"]})
    messages = [{"role": "user", "content": "Hello"}]
    _, chat = await post(pilot, "/v1/tokenize", {"model": "embedded", "messages": messages})
    assert (chat["token_strs"], chat["count"] > 5) == (None, True)
    _, answer = await post(pilot, "/v1/chat/completions", {"model": "embedded", "messages": messages, "max_tokens": 1})
    assert answer["usage"]["prompt_tokens"] == chat["count"]
    _, counted = await post(pilot, "/v1/responses/input_tokens", {"model": "embedded", "input": "Hello"})
    assert counted == {"object": "response.input_tokens", "input_tokens": chat["count"]}
    _, counted = await post(pilot, "/v1/messages/count_tokens", {"model": "embedded", "messages": messages})
    assert counted == {"input_tokens": chat["count"]}


async def test_openais_client_counts_tokens(pilot: Served) -> None:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0) as client:
        assert (await client.responses.input_tokens.count(model=MODEL, input="one two three")).input_tokens == 3
        with pytest.raises(NotFoundError, match="nothing is stored here"):
            await client.responses.retrieve("resp_1")
        with pytest.raises(NotFoundError, match="nothing is stored here"):
            await client.responses.delete("resp_1")


async def test_tokens_that_are_refused(pilot: Served) -> None:
    for path, body, told in [
        ("/v1/tokenize", {"model": MODEL}, "prompt"), ("/v1/tokenize", {"model": MODEL, "prompt": 3}, "/prompt"),
        ("/v1/tokenize", {"model": BGE, "prompt": "a"}, "Text Embeddings"),
        ("/v1/tokenize", {"model": "remote", "prompt": "a"}, "the engine openai tells no tokens"),
        ("/v1/tokenize", {"model": MODEL, "messages": [], "add_generation_prompt": False}, "add_generation_prompt"),
        ("/v1/tokenize", {"model": MODEL, "messages": []}, "/messages"),
        ("/v1/detokenize", {"model": MODEL, "tokens": ["a"]}, "/tokens"),
        ("/v1/detokenize", {"model": MODEL, "tokens": [-1]}, "/tokens"),
        ("/v1/detokenize", {"model": MODEL, "tokens": [2**30]}, "no token 1073741824"),
        ("/v1/detokenize", {"model": "embedded", "tokens": [2**30]}, "no token 1073741824"),
    ]:  # fmt: skip
        status, answer = await post(pilot, path, body)
        assert (status, told in json.dumps(answer)) == (400, True), (body, answer)


# Recordings


@pytest.mark.parametrize("model", [TURBO, WHISPER])
async def test_openais_client_has_a_recording_written_down(pilot: Served, task_upstream: Upstream, model: str) -> None:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0) as client:
        heard = client.audio.transcriptions
        asked: Any = {"model": model, "file": ("a.wav", b"RIFF", "audio/wav")}
        plain = await heard.create(**asked, language="en", prompt="So", temperature=0)
        assert plain.text == "Hello you."
        assert {name: task_upstream.asked[-1].get(name) for name in ("language", "prompt", "file", "path")} == {
            "language": "en",
            "prompt": "So",
            "file": b"RIFF",
            "path": "/v1/audio/transcriptions",
        }
        assert await heard.create(**asked, response_format="text") == "Hello you.\n"
        whole = await heard.create(**asked, response_format="verbose_json", timestamp_granularities=["segment"])
        assert (whole.language, float(whole.duration), whole.text) == ("en", 2.0, "Hello you.")
        assert [(one.start, one.end, one.text) for one in whole.segments or []] == [(0, 1.5, "Hello"), (1.5, 2, "you.")]
        assert await heard.create(**asked, response_format="srt") == (
            "1\n00:00:00,000 --> 00:00:01,500\nHello\n\n2\n00:00:01,500 --> 00:00:02,000\nyou.\n"
        )
        assert (await heard.create(**asked, response_format="vtt")).startswith("WEBVTT\n\n00:00:00.000 --> ")
        events = [event async for event in await heard.create(**asked, stream=True)]
        assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == "Hello you."
        assert (events[-1].type, events[-1].text) == ("transcript.text.done", "Hello you.")
    form = aiohttp.FormData({"model": model})
    form.add_field("file", b"RIFF", filename="a.wav")
    status, text = await pilot.ask("/v1/audio/translations", "POST", data=form)
    assert (status, json.loads(text)["text"], task_upstream.asked[-1]["path"]) == (
        200,
        "Hello you.",
        "/v1/audio/translations",
    )


async def test_recordings_that_are_refused(pilot: Served) -> None:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0) as client:
        asked: Any = {"model": WHISPER, "file": ("a.wav", b"RIFF", "audio/wav")}
        for other, told in [
            ({"model": MODEL}, "Text Generation"),
            ({"response_format": "ass"}, "/response_format"),
            ({"timestamp_granularities": ["word"]}, "no times of words"),
        ]:
            with pytest.raises(BadRequestError, match=told):
                await client.audio.transcriptions.create(**{**asked, **other})
    status, body = await post(pilot, "/v1/audio/transcriptions", {"model": WHISPER})
    assert (status, "multipart/form-data" in body["error"]["message"]) == (400, True)


# What is not there


@pytest.mark.parametrize(("path", "told"), [
    ("/v1/nothing", "/v1/chat/completions"), ("/v1", "/v1/chat/completions"), ("/v1/chat/other", "/v1/rerank"),
    ("/v1/images/generations", "no model here makes images"), ("/v1/audio/speech", "no model here speaks"),
    ("/v1/moderations", "llama-guard"), ("/v1/files", "nothing is stored here"),
    ("/v1/responses/resp_1/cancel", "nothing is stored here"), ("/v1/assistants", "/v1/responses"),
])  # fmt: skip
async def test_an_unknown_path_says_what_there_is(pilot: Served, path: str, told: str) -> None:
    for method in ("POST", "GET", "DELETE"):
        status, text = await pilot.ask(path, method, headers=BEARER)
        error = json.loads(text)["error"]
        assert (status, error["code"], error["type"]) == (404, "unknown_url", "invalid_request_error")
        assert f"{method} {path} " in error["message"]
        assert told in error["message"]
        assert "openai_routes" in error["message"]


async def test_only_v1_is_not_the_workers(pilot: Served) -> None:
    for path in ("/v1x", "/v2/rerank/x", "/v2", "/rerank", "/tokenize"):
        assert await pilot.ask(path, "POST") == (200, f"the worker's {path}")
    assert await pilot.ask("/v2/rerank") == (200, "the worker's /v2/rerank")


async def test_a_worker_without_models_keeps_the_rest_of_v1(pilot: Served) -> None:
    config = (pilot.folder / "wrangler.toml").read_text()
    try:
        (pilot.folder / "wrangler.toml").write_text(config.replace('[ai]\nbinding = "AI"\n', ""))
        async with asyncio.timeout(30):
            while await pilot.ask("/v1/users") != (200, "the worker's /v1/users"):
                await asyncio.sleep(0.05)
        assert (await pilot.ask("/v1/models", headers=BEARER))[0] == 200
    finally:
        (pilot.folder / "wrangler.toml").write_text(config)
    async with asyncio.timeout(30):
        while (await pilot.ask("/v1/users"))[0] != 404:
            await asyncio.sleep(0.05)
