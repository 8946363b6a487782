"""OpenAI's routes on a real socket: bytes, addresses, refusals, and whose ``/v1`` is."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bindings.ai.http import cors
from runtime.errors import ConfigError
from serving import Served, serving, write

MODEL = "@cf/meta/llama-3.1-8b-instruct"
NEWER = "@cf/openai/gpt-oss-20b"
BGE = "@cf/baai/bge-small-en-v1.5"
ACCOUNT = "/client/v4/accounts/0123456789abcdef/ai/v1"
BASES = [ACCOUNT, "/v1"]
HI = {"model": MODEL, "messages": [{"role": "user", "content": "Hello York"}]}
WORKER = """
from workers import Response, URL

def fetch(request):
    return Response("the worker's " + URL(request.url).pathname)
"""
CHUNK = '"model":"@cf/meta/llama-3.1-8b-instruct"'
HEAD = f'data: {{"id":"id-MS","created":S,{CHUNK},"object":"chat.completion.chunk","choices":[{{"index":0,"delta":'
LAST = (f'data: {{"id":"id-MS","object":"chat.completion.chunk","created":S,{CHUNK},'
        '"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]')  # fmt: skip
SAID = (HEAD + '{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        + HEAD + '{"content":"Hello"}}]}\n\n' + HEAD + '{"content":" York"}}]}\n\n' + LAST)  # fmt: skip
USAGE = (',"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4,'
         '"prompt_tokens_details":{"cached_tokens":0}}')  # fmt: skip
STREAMS = {base: SAID + usage + "}\n\ndata: [DONE]\n\n" for base, usage in ((ACCOUNT, USAGE), ("/v1", ""))}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("openai")
    models = "slow: {engine: echo, options: {rate: 10, tokens: 400}}\n"
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": models})
    async with serving(folder) as pilot:
        yield pilot


class Answer:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status, self.headers, self.text = response.status, response.headers, body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


async def ask(pilot: Served, path: str, body: Any = None, token: str | None = "any") -> Answer:
    method = "GET" if body is None else "POST"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with pilot.http.request(method, pilot.url + path, data=data, headers=headers) as response:
        return Answer(response, await response.read())


@pytest.mark.parametrize("base", BASES)
async def test_a_chat_stream_to_the_byte(pilot: Served, base: str) -> None:
    answer = await ask(pilot, base + "/chat/completions", {**HI, "stream": True})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    stream = re.sub(r'"id":"id-(\d{10})\d{3}"(.*?)"created":\1', r'"id":"id-MS"\2"created":S', answer.text)
    assert stream == STREAMS[base]


@pytest.mark.parametrize("base", BASES)
async def test_bare_bodies(pilot: Served, base: str) -> None:
    chat = await ask(pilot, base + "/chat/completions", HI)
    assert (chat.status, chat.headers["content-type"]) == (200, "application/json")
    assert chat.json["choices"][0]["message"] == {"role": "assistant", "content": "Hello York"}
    assert (chat.headers["cf-ai-stand-in"], "cf-ai-req-id" in chat.headers) == ("echo", True)
    text = await ask(pilot, base + "/completions", {"model": MODEL, "prompt": ["a b"]})
    assert text.json["choices"][0]["text"] == "a b"
    response = await ask(pilot, base + "/responses", {"model": NEWER, "input": "a b"})
    assert response.json["output"][0]["content"][0]["text"] == "a b"


@pytest.mark.parametrize("base", BASES)
async def test_models(pilot: Served, base: str) -> None:
    listed = (await ask(pilot, base + "/models")).json
    assert listed["object"] == "list"
    ids = {model["id"] for model in listed["data"]}
    assert {MODEL, BGE, "slow"} <= ids
    one = await ask(pilot, f"{base}/models/{MODEL.replace('/', '%2F')}")
    assert one.json == {"id": MODEL, "object": "model", "created": one.json["created"], "owned_by": "meta"}
    unknown = await ask(pilot, base + "/models/none")
    assert (unknown.status, unknown.json["errors"][0]["code"]) == (400 if base == ACCOUNT else 404, 5007)


REFUSALS: list[tuple[str, Any, int, int, int, str, str | None]] = [  # statuses under ai/v1 and /v1
    ("/chat/completions", {**HI, "model": "gpt-4o"}, 400, 404, 5007, "model_not_found", "model"),
    ("/chat/completions", {"messages": HI["messages"]}, 400, 400, 5006, "missing_required_parameter", "model"),
    ("/chat/completions", {"model": MODEL}, 400, 400, 5006, "missing_required_parameter", "messages"),
    ("/chat/completions", {**HI, "messages": [{"role": "user"}]}, 400, 400, 5006,
     "missing_required_parameter", "messages[0].content"),
    ("/chat/completions", {**HI, "model": 3}, 400, 400, 5006, "invalid_type", "model"),
    ("/chat/completions", {**HI, "temperature": 9}, 400, 400, 5006, "invalid_value", "temperature"),
    ("/chat/completions", {**HI, "audio": {"voice": "x"}}, 400, 400, 5006, "unsupported_parameter", "audio"),
    ("/chat/completions", {**HI, "model": BGE}, 400, 400, 5006, "invalid_value", None),
    ("/chat/completions", {**HI, "lora": "mine"}, 405, 400, 5005, "invalid_request_error", None),
    ("/chat/completions", b"{", 400, 400, 5006, "invalid_value", None),
    ("/chat/completions", b"", 400, 400, 3003, "invalid_request_error", None),
    ("/completions", HI, 400, 400, 5006, "missing_required_parameter", "prompt"),
    ("/embeddings", {"model": MODEL, "input": "a"}, 400, 400, 5006, "invalid_value", None),
    ("/embeddings", {"model": BGE}, 400, 400, 5006, "missing_required_parameter", "input"),
    ("/embeddings", {"model": BGE, "input": [1, 2]}, 400, 400, 5006, "invalid_value", "input"),
    ("/embeddings", {"model": BGE, "input": [[1, 2]]}, 400, 400, 5006, "invalid_value", "input"),
    ("/embeddings", {"model": BGE, "input": []}, 400, 400, 5006, "invalid_value", "input"),
    ("/embeddings", {"model": BGE, "input": ["a", ""]}, 400, 400, 5006, "invalid_value", "input[1]"),
    ("/embeddings", {"model": BGE, "input": ["a", None]}, 400, 400, 5006, "invalid_type", "input[1]"),
    ("/embeddings", {"model": BGE, "input": "a", "encoding_format": "hex"}, 400, 400, 5006,
     "invalid_value", "encoding_format"),
    ("/embeddings", {"model": BGE, "input": "a", "dimensions": 0}, 400, 400, 5006, "invalid_value", "dimensions"),
    ("/embeddings", {"model": BGE, "input": "a", "dimensions": 4096}, 400, 400, 5006, "invalid_value", "dimensions"),
]  # fmt: skip


@pytest.mark.parametrize("base", BASES)
async def test_refusals_have_the_services_envelope_and_openais_error(pilot: Served, base: str) -> None:
    for path, body, recorded, own, number, code, param in REFUSALS:
        answer = await ask(pilot, base + path, body)
        status = recorded if base == ACCOUNT else own
        assert (answer.status, answer.json["errors"][0]["code"], answer.json["result"]) == (status, number, {}), body
        message = answer.json["errors"][0]["message"]
        assert message.endswith(f"({answer.headers['cf-ai-req-id']})")
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        assert answer.json["error"] == error, body
    wrong = await ask(pilot, base + "/chat/completions")
    assert (wrong.status, wrong.json["error"]["type"]) == (405, "invalid_request_error")


async def test_a_key_is_not_needed_in_dev_but_for_the_services_own_routes(pilot: Served) -> None:
    assert (await ask(pilot, "/v1/models", token=None)).status == 200
    assert (await ask(pilot, "/v1/chat/completions", HI, token="")).status == 200
    keyless = await ask(pilot, ACCOUNT + "/models", token=None)
    assert (keyless.status, keyless.json["errors"][0]["code"]) == (400, 9106)
    assert keyless.json["error"]["code"] == "invalid_api_key"


async def test_a_strangers_page_gets_nothing(pilot: Served) -> None:
    """A browser would send what needs no key and no leave: a text, posted."""
    url, page = pilot.url + "/v1/chat/completions", {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    async with pilot.http.post(url, data=json.dumps(HI), headers=page) as response:
        assert (response.status, "access-control-allow-origin" in response.headers) == (403, False)
        assert 'cors = ["https://evil.example"]' in (await response.json())["error"]["message"]
    asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with pilot.http.options(url, headers=asked) as response:
        assert (response.status, "access-control-allow-origin" in response.headers) == (403, False)
    async with pilot.http.post(url, data=json.dumps(HI), headers={"Origin": pilot.url}) as response:
        assert response.status == 200


async def test_responses_refuse_in_openais_way(pilot: Served) -> None:
    answer = await ask(pilot, "/v1/responses", {"model": NEWER, "input": "a", "previous_response_id": "resp_1"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_prompt")
    assert "'/previous_response_id' is not served here" in answer.json["error"]["message"]


async def test_embeddings_as_numbers_and_packed(pilot: Served) -> None:
    asked = {"model": BGE, "input": ["New York", "a cat"]}
    plain = (await ask(pilot, "/v1/embeddings", asked)).json
    assert [one["index"] for one in plain["data"]] == [0, 1]
    assert plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 0
    packed = (await ask(pilot, "/v1/embeddings", {**asked, "encoding_format": "base64"})).json
    for one, other in zip(plain["data"], packed["data"], strict=True):
        octets = base64.b64decode(other["embedding"])
        assert struct.unpack(f"<{len(octets) // 4}f", octets) == pytest.approx(one["embedding"], abs=1e-6)
    short = (await ask(pilot, "/v1/embeddings", {**asked, "dimensions": 8})).json["data"][0]["embedding"]
    assert (len(short), sum(number * number for number in short)) == (8, pytest.approx(1))


async def test_more_texts_than_the_model_takes_at_once(pilot: Served) -> None:
    texts = [f"text {number}" for number in range(130)]
    found = (await ask(pilot, "/v1/embeddings", {"model": BGE, "input": texts})).json
    assert [one["index"] for one in found["data"]] == [*range(130)]
    last = (await ask(pilot, "/v1/embeddings", {"model": BGE, "input": texts[-1]})).json
    assert found["data"][-1]["embedding"] == pytest.approx(last["data"][0]["embedding"], abs=1e-5)
    assert found["usage"]["prompt_tokens"] > 100 * last["usage"]["prompt_tokens"]


async def test_token_ids_are_no_texts(pilot: Served) -> None:
    refused = await ask(pilot, "/v1/embeddings", {"model": BGE, "input": [[9906, 1917]]})
    assert "check_embedding_ctx_length=False" in refused.json["error"]["message"]


async def test_leaving_frees_the_model(pilot: Served) -> None:
    since = len(pilot.events)
    body = json.dumps({**HI, "model": "slow", "stream": True, "max_tokens": 400})
    address, headers = pilot.url + "/v1/chat/completions", {"Authorization": "Bearer any"}
    async with pilot.http.post(address, data=body, headers=headers) as response:
        assert b'"role":"assistant"' in await response.content.readuntil(b"\n\n")
        response.close()
    line = await pilot.event("request", since=since, path="/v1/chat/completions", note="client left")
    assert line["tokens"] < 100


async def test_whose_v1_is_is_told(pilot: Served) -> None:
    assert (await ask(pilot, "/v1/other")).status == 404
    assert (await ask(pilot, "/v1/models/")).status == 404  # asked for a model without a name
    await ask(pilot, "/v1/models")
    await pilot.says("leaves /v1 to the worker")


@pytest.mark.parametrize("origin", ["http://localhost:3000/", "localhost:3000", "null", "http://*.example", ""])
async def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)'.*' is not an origin.*cors = \["):
        cors.check([origin], "wrangler.toml: pilot.cors")
    assert cors.check(["*", "https://app.example", "chrome-extension://abc"], "") != ()


async def test_v1_left_to_the_worker(tmp_path: Path) -> None:
    write(tmp_path, WORKER, "[pilot]\nopenai_routes = false\n")
    async with serving(tmp_path) as pilot:
        for path in ("/v1/models", "/v1/chat/completions", "/v1/rerank", "/v2/rerank", "/v1/other", "/v1"):
            assert (await ask(pilot, path)).text == f"the worker's {path}"
        assert (await ask(pilot, ACCOUNT + "/models")).status == 200
