"""Other people's clients, as they are: Cloudflare's and OpenAI's for Python, curl, httpx, Node's fetch."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cloudflare import APIStatusError, AsyncCloudflare, AuthenticationError, BadRequestError
from openai import AsyncOpenAI, AsyncStream
from openai import AuthenticationError as OpenAIAuthentication
from openai import BadRequestError as OpenAIBadRequest

from serving import Served, serving

INT8 = "@cf/meta/llama-2-7b-chat-int8"
ACCOUNT = "0123456789abcdef"
ASK = {"prompt": "where is new york?"}
SLOWLY = {"prompt": "one two three four five six", "stream": True}
WORKER = f"""
from workers import Response

async def fetch(request, env, ctx):
    return await env.AI.run("slow", {SLOWLY!r})
"""
FILES = {
    "wrangler.toml": 'name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n[pilot]\ncors = ["http://localhost:3000"]\n',
    "models.yaml": "slow: {engine: echo, options: {rate: 20}}\n",
    "entry.py": WORKER,
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


def base(pilot: Served) -> str:
    return f"{pilot.url}/client/v4"


def said(lines: list[str]) -> str:
    """The text of a whole stream, of which ``lines`` are the ``data:`` lines."""
    data = [line.removeprefix("data: ") for line in lines if line]
    assert data[-1] == "[DONE]"
    events = [json.loads(item) for item in data[:-1]]
    assert [event for event in events if "usage" in event] == events[-1:]
    return "".join(event["response"] for event in events)


class Arrivals:
    """How spread over time the lines came: a buffered stream comes all at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.times: list[float] = []

    def add(self, line: str) -> None:
        if line:
            self.lines.append(line)
            self.times.append(asyncio.get_running_loop().time())

    def check(self) -> None:
        assert said(self.lines) == SLOWLY["prompt"]
        assert self.times[-1] - self.times[0] > 0.15  # six tokens, twenty a second


# Cloudflare's


@pytest_asyncio.fixture(loop_scope="module")
async def cloudflare(pilot: Served) -> AsyncIterator[AsyncCloudflare]:
    async with AsyncCloudflare(api_token="right", base_url=base(pilot), max_retries=0) as client:
        yield client


async def test_cloudflare_run(cloudflare: AsyncCloudflare) -> None:
    result: Any = await cloudflare.ai.run(INT8, account_id=ACCOUNT, **ASK)
    assert result == {
        "response": ASK["prompt"],
        "tool_calls": [],
        "usage": {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8},
    }


async def test_cloudflare_run_with_messages(cloudflare: AsyncCloudflare) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is Boston?"}]
    result: Any = await cloudflare.ai.run(INT8, account_id=ACCOUNT, messages=messages, max_tokens=2)
    assert (result["response"], result["usage"]["completion_tokens"]) == ("Where is", 2)


async def test_cloudflare_raw_response(cloudflare: AsyncCloudflare) -> None:
    raw = await cloudflare.ai.with_raw_response.run(INT8, account_id=ACCOUNT, **ASK)
    assert raw.headers["cf-ai-req-id"]
    assert raw.headers["cf-ai-stand-in"] == "echo"


async def test_cloudflare_streams(cloudflare: AsyncCloudflare) -> None:
    arrivals = Arrivals()
    async with cloudflare.ai.with_streaming_response.run("slow", account_id=ACCOUNT, **SLOWLY) as response:
        assert response.headers["content-type"] == "text/event-stream"
        async for line in response.iter_lines():
            arrivals.add(line)
    arrivals.check()


async def test_cloudflare_errors(cloudflare: AsyncCloudflare, pilot: Served) -> None:
    with pytest.raises(BadRequestError) as caught:
        await cloudflare.ai.run("@cf/none/such", account_id=ACCOUNT, **ASK)
    [error] = caught.value.errors
    assert error.code == 5007
    assert "No such model @cf/none/such or task" in str(error.message)
    with pytest.raises(APIStatusError) as too_long:
        await cloudflare.ai.run(INT8, account_id=ACCOUNT, prompt="word " * 2049)
    assert (too_long.value.status_code, too_long.value.errors[0].code) == (413, 5021)
    stranger = cloudflare.with_options(api_token="wrong")
    with pytest.raises(AuthenticationError) as refused:
        await stranger.ai.run(INT8, account_id=ACCOUNT, **ASK)
    assert refused.value.errors[0].code == 10000


# OpenAI's, for its HTTP layer: credentials, retries, errors, streams


@pytest_asyncio.fixture(loop_scope="module")
async def openai(pilot: Served) -> AsyncIterator[AsyncOpenAI]:
    address = f"{base(pilot)}/accounts/{ACCOUNT}/ai"
    async with AsyncOpenAI(api_key="right", base_url=address, max_retries=0) as client:
        yield client


async def test_openai_posts(openai: AsyncOpenAI) -> None:
    answer = await openai.post(f"/run/{INT8}", body=ASK, cast_to=httpx.Response)
    assert answer.json()["result"]["response"] == ASK["prompt"]


async def test_openai_streams(openai: AsyncOpenAI) -> None:
    """Through its own reader of server-sent events, which wants ``[DONE]`` and knows nothing of ``response``."""
    stream = await openai.post("/run/slow", body=SLOWLY, cast_to=object, stream=True, stream_cls=AsyncStream[object])
    arrivals = Arrivals()
    async for event in stream:
        arrivals.add(json.dumps(event))
    arrivals.add("[DONE]")
    arrivals.check()


async def test_openai_errors(openai: AsyncOpenAI) -> None:
    with pytest.raises(OpenAIBadRequest) as caught:
        await openai.post("/run/@cf/none/such", body=ASK, cast_to=httpx.Response)
    [error] = caught.value.response.json()["errors"]
    assert error["code"] == 5007


async def test_openai_without_the_key(pilot: Served) -> None:
    for key, words in (("wrong", "Incorrect API key"), ("two words", "The API key is malformed")):
        async with AsyncOpenAI(api_key=key, base_url=f"{pilot.url}/v1", max_retries=0) as client:
            with pytest.raises(OpenAIAuthentication, match=words) as caught:
                await client.models.list()
            assert caught.value.code == "invalid_api_key"
    async with httpx.AsyncClient() as http:
        answer = (await http.get(f"{pilot.url}/v1/models")).json()
    assert answer["error"]["message"] == "No API key was sent: send it as 'Authorization: Bearer KEY'"
    assert answer["errors"][0]["code"] == 9106


# Plain HTTP


@pytest.mark.parametrize("path", ["/v1/models", "/client/v4/accounts/a/ai/models/search", "/client/v4/none"])
async def test_a_page_that_the_settings_name_may_ask_and_read(pilot: Served, path: str) -> None:
    page = {"Origin": "http://localhost:3000"}
    asks = {**page, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-own"}
    async with httpx.AsyncClient() as http:
        leave = await http.options(pilot.url + path, headers=asks)
        assert (leave.status_code, leave.headers["access-control-allow-origin"]) == (204, "http://localhost:3000")
        assert leave.headers["access-control-allow-headers"] == "authorization,x-own"
        assert leave.headers["access-control-allow-methods"] == "GET"
        for key in ("right", "wrong"):
            answer = await http.get(pilot.url + path, headers={**page, "Authorization": f"Bearer {key}"})
            assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
            assert (answer.status_code == 401) == (key == "wrong")
            assert "cf-ai-req-id" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"
        other = await http.options(pilot.url + path, headers={**asks, "Origin": "http://localhost:3001"})
        assert "access-control-allow-origin" not in other.headers


async def test_httpx(pilot: Served) -> None:
    arrivals = Arrivals()
    url, headers = f"{base(pilot)}/accounts/{ACCOUNT}/ai/run/", {"Authorization": "Bearer right"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(url + INT8, json=ASK)
        assert answer.json()["success"] is True
        async with client.stream("POST", url + "slow", json=SLOWLY) as response:
            async for line in response.aiter_lines():
                arrivals.add(line)
    arrivals.check()


async def test_curl_shows_tokens_as_they_come(pilot: Served) -> None:
    arrivals = Arrivals()
    process = await asyncio.create_subprocess_exec("curl", "-sN", "--max-time", "20", pilot.url, stdout=-1)
    assert process.stdout is not None
    async for line in process.stdout:
        arrivals.add(line.decode().strip())
    assert await process.wait() == 0
    arrivals.check()


NODE = """
const [url, body, token] = process.argv.slice(1);
const options = body ? { method: 'POST', body, headers: { Authorization: `Bearer ${token}` } } : {};
const response = await fetch(url, options);
if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
let rest = '';
for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) console.log(line);
}
if (rest) console.log(rest);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("place", ["worker", "rest"])
async def test_nodes_fetch(pilot: Served, tmp_path: Path, place: str) -> None:
    url = pilot.url if place == "worker" else f"{base(pilot)}/accounts/{ACCOUNT}/ai/run/slow"
    arguments = [url] if place == "worker" else [url, json.dumps(SLOWLY), "right"]
    arrivals = Arrivals()
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", NODE, "--", *arguments, stdout=-1, stderr=-1
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async for line in process.stdout:
        arrivals.add(line.decode().strip())
    assert await process.wait() == 0, (await process.stderr.read()).decode()
    arrivals.check()
