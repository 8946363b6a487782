"""The wire of Workers AI's own binding, as older Wranglers send it: one route, the operation in a header."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from serving import Served, raw, serving

INT8 = "@cf/meta/llama-2-7b-chat-int8"
PROXY = "/client/v4/accounts/0123456789abcdef/ai/run/proxy"
RUN = "https://workers-binding.ai/run?version=3"
THROUGH = "https://workers-binding.ai/ai-gateway/run?version=3"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
ANSWER = b'{"response":"New York","tool_calls":[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}'
STREAM = (
    b'data: {"response":"New"}\n\ndata: {"response":" York"}\n\n'
    b'data: {"response":"","usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n\ndata: [DONE]\n\n'
)
PROMPT = {"prompt": "New York"}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "entry.py").write_text("from workers import Response\n\ndef fetch(request):\n    return Response('hi')\n")
    (folder / "wrangler.toml").write_text('name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n')
    picture = "{task: Image-to-Text, engine: echo, vision: true, options: {images: true}}"
    (folder / "models.yaml").write_text(f"picture: {picture}\n")
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    pilot: Served, meant: str, body: Any = None, model: str = INT8, method: str = "POST", **headers: str
) -> Answer:
    """As Wrangler's: chunked, with the binding's own URL in a header."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Authorization": "Bearer right", "X-Forwarded": meant, "cf-consn-sdk-version": "2.0.0", **headers}
    sent |= {"cf-consn-model-id": model} if model else {}
    chunks = None if data is None else _chunks(data)
    async with pilot.http.request(method, pilot.url + PROXY, data=chunks, headers=sent) as got:
        return Answer(got.status, got.headers, await got.read())


async def get(pilot: Served, meant: str) -> Answer:
    return await ask(pilot, meant, model="", method="GET")


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 7):
        yield data[start : start + 7]


async def run(pilot: Served, inputs: Any, options: Any = None, model: str = INT8, meant: str = RUN) -> Answer:
    return await ask(pilot, meant, {"inputs": inputs, "options": options or {}}, model)


async def test_a_bare_result_under_exactly_json(pilot: Served) -> None:
    answer = await run(pilot, PROMPT)
    assert (answer.status, answer.body) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(UUID, answer.headers["cf-ai-req-id"])


async def test_a_stream(pilot: Served) -> None:
    answer = await run(pilot, {**PROMPT, "stream": True})
    assert (answer.status, answer.body) == (200, STREAM)
    assert answer.headers["content-type"] == "text/event-stream"


async def test_wranglers_very_bytes(pilot: Served) -> None:
    """Written down from Wrangler 4.35."""
    body = b'{"inputs":{"prompt":"New York"},"options":{}}'
    head = (
        f"POST {PROXY} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: */*\r\naccept-encoding: br, gzip\r\n"
        "authorization: Bearer right\r\ncf-consn-model-id: @cf/meta/llama-2-7b-chat-int8\r\n"
        "cf-consn-sdk-version: 2.0.0\r\ncontent-type: application/json\r\nuser-agent: wrangler/4.35.0\r\n"
        "x-forwarded: https://workers-binding.ai/run?version=3\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    answer = await raw(pilot, head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n" + ANSWER)


async def test_the_bindings_form_of_an_error(pilot: Served) -> None:
    answer = await run(pilot, PROMPT, model="@cf/none/such")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cf-ai-req-id"]
    assert answer.json == {
        "internalCode": 5007,
        "message": "AiError: No such model @cf/none/such or task",
        "name": "AiError",
        "description": "No such model @cf/none/such or task",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, 3003),
        (b"", 3003),
        (b"{", 5006),
        (b"[]", 5006),
        (b"\x1f\x8b", 5006),
        ({"options": {}}, 5006),
        ({"inputs": [1]}, 5006),
        ({"inputs": {}}, 5006),
        ({"inputs": PROMPT, "options": "x"}, 5006),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(pilot: Served, body: Any, code: int) -> None:
    answer = await ask(pilot, RUN, body)
    assert 400 <= answer.status < 500
    assert answer.json["internalCode"] == code


async def test_a_prefix_is_let_pass(pilot: Served) -> None:
    assert (await run(pilot, PROMPT, model=f"custom:{INT8}")).body == ANSWER


@pytest.mark.parametrize(
    ("meant", "model", "status", "code"),
    [
        ("", INT8, 400, 3003),
        ("no url", INT8, 400, 5006),
        (RUN, "", 400, 3003),
        ("https://workers-binding.ai/autorag/rags", INT8, 404, 7003),
        ("https://workers-binding.ai/", INT8, 404, 7003),
        ("https://workers-binding.ai/run?version=1", INT8, 405, 5019),
        ("https://workers-binding.ai/run/..", INT8, 404, 7003),
    ],
)
async def test_what_is_not_served(pilot: Served, meant: str, model: str, status: int, code: int) -> None:
    answer = await ask(pilot, meant, {"inputs": PROMPT}, model)
    assert answer.status == status
    assert answer.json.get("internalCode") == code or answer.json["errors"][0]["code"] == code


async def test_credentials_and_methods(pilot: Served) -> None:
    headers = {"X-Forwarded": RUN, "cf-consn-model-id": INT8}
    async with pilot.http.post(pilot.url + PROXY, json={"inputs": PROMPT}, headers=headers) as response:
        assert (response.status, (await response.json())["errors"][0]["code"]) == (400, 9106)
    headers["Authorization"] = "Bearer wrong"
    async with pilot.http.post(pilot.url + PROXY + "/", json={"inputs": PROMPT}, headers=headers) as response:
        assert (response.status, (await response.json())["errors"][0]["code"]) == (401, 10000)
    headers["Authorization"] = "Bearer right"
    async with pilot.http.put(pilot.url + PROXY, headers=headers) as response:
        assert (response.status, response.headers["allow"]) == (405, "POST, GET, PATCH")


async def test_the_old_sdk_gets_its_json_in_gzip(pilot: Served) -> None:
    old = RUN.replace("3", "2")
    headers = {"content-encoding": "application/json"}  # it says so
    answer = await ask(pilot, old, {"inputs": PROMPT, "options": {"debug": False}}, **headers)
    assert answer.headers["content-type"] == "application/json"
    assert gzip.decompress(answer.body) == ANSWER
    assert (await run(pilot, {**PROMPT, "stream": True}, meant=old)).body == STREAM


async def test_models(pilot: Served) -> None:
    url = "https://workers-binding.ai/ai-api/models/search"
    answer = await get(pilot, f"{url}?search=bge-base&per_page=1")
    assert [item["name"] for item in answer.json["result"]] == ["@cf/baai/bge-base-en-v1.5"]
    refused = await get(pilot, f"{url}?page=0")
    assert (refused.status, refused.json["errors"][0]["code"]) == (400, 5006)


async def test_markdown(pilot: Served) -> None:
    url = "https://workers-binding.ai/to-everything/markdown/"
    files = [{"name": "a.html", "mimeType": "text/html", "data": base64.b64encode(b"<h1>Hi</h1>").decode()}]
    answer = await ask(pilot, url + "transformer", {"files": files, "options": {}}, model="")
    [found] = answer.json["result"]
    assert (found["format"], found["data"].strip()) == ("markdown", "# Hi")
    supported = await get(pilot, url + "supported")
    assert ".html" in [kind["extension"] for kind in supported.json["result"]]
    assert (await ask(pilot, url + "transformer", {"files": "x"}, model="")).status == 400


async def test_a_gateway_and_its_log(pilot: Served) -> None:
    options = {"gateway": {"id": "g", "metadata": {"who": "me"}}}
    answer = await run(pilot, PROMPT, options, meant=THROUGH)
    assert answer.body == ANSWER
    log = f"https://workers-binding.ai/ai-gateway/gateways/g/logs/{answer.headers['cf-aig-log-id']}"
    assert (await get(pilot, log)).json["result"]["model"] == INT8
    assert (await ask(pilot, log, {"feedback": 1}, "", "PATCH")).status == 200
    assert (await get(pilot, log)).json["result"]["feedback"] == 1
    unknown = await get(pilot, log[:-36] + "none")
    assert (unknown.status, unknown.json["success"]) == (404, False)
    url = await get(pilot, "https://workers-binding.ai/ai-gateway/gateways/g/url/workers-ai")
    assert url.json["result"]["url"].startswith(pilot.url)


async def test_the_universal_run(pilot: Served) -> None:
    url = "https://workers-binding.ai/ai-gateway/universal/run/g"
    request = {"provider": "workers-ai", "endpoint": INT8, "headers": {}, "query": PROMPT}
    answer = await ask(pilot, url, [{**request, "provider": "openai"}, request], model="")
    assert answer.json["result"]["response"] == "New York"
    assert answer.headers["cf-aig-step"] == "1"
    streamed = await ask(pilot, url, [{**request, "query": {**PROMPT, "stream": True}}], model="")
    assert streamed.body == STREAM
    assert (await ask(pilot, url, b"[", model="")).status == 400


async def test_a_file_as_the_body(pilot: Served) -> None:
    """Its other inputs are in the query; under which name it was given, the binding does not say."""
    meant, image, kind = RUN + "&userInputs=%7B%22prompt%22%3A%22what%3F%22%7D", base64.b64decode(PNG), "image/png"
    answer = await ask(pilot, meant, image, "picture", **{"content-type": kind})
    assert answer.json == {"description": "what?"}
    refused = await ask(pilot, meant, b"GIF? no", "picture", **{"content-type": kind})
    assert (refused.status, refused.json["internalCode"]) == (400, 5006)
    assert "is no image" in refused.json["description"]
    for wrong in ("&userInputs=", "&userInputs=[]", "&userInputs={"):
        assert (await ask(pilot, RUN + wrong, image, "picture")).status == 400
