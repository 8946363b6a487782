"""Other people's clients and real models: tools, JSON, several answers, logprobs, thoughts, through the server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare
from openai import AsyncOpenAI

from feature_models import talking_llama
from serving import Served, serving, write

WORKER = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
VLLM = pytest.param("talking", marks=pytest.mark.vllm)
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather in a city", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS, "strict": True}}
USER: Any = [{"role": "user", "content": "The weather in Rome?"}]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    rows = "embedded: {engine: llamacpp, default_temperature: 0}\n"
    if find_spec("vllm") is not None:
        talking_llama(folder / "weights")
        rows += "talking: {engine: vllm, model: ./weights, default_temperature: 0, preload: true}\n"
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": rows})
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def openai(pilot: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0, timeout=300) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def cloudflare(pilot: Served) -> AsyncIterator[AsyncCloudflare]:
    base = pilot.url + "/client/v4"
    async with AsyncCloudflare(api_token="any", base_url=base, max_retries=0, timeout=300) as client:
        yield client


@pytest.fixture(params=["embedded", VLLM])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_json_in_every_form(openai: AsyncOpenAI, cloudflare: AsyncCloudflare, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 60}
    chat = await openai.chat.completions.create(**asked, messages=USER, response_format=FORMAT)
    stream = await openai.chat.completions.create(**asked, messages=USER, response_format=FORMAT, stream=True)
    streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    response = await openai.responses.create(
        model=model, input="The weather in Rome?", max_output_tokens=60,
        text={"format": {"type": "json_schema", "name": "place", "schema": PARAMETERS}})  # fmt: skip
    for text in (chat.choices[0].message.content, streamed, response.output_text):
        assert json.loads(text or "")["city"] in ("Paris", "Rome")
    native: Any = await cloudflare.ai.run(
        model, account_id="a", messages=USER, max_tokens=60,
        response_format={"type": "json_schema", "json_schema": PARAMETERS})  # fmt: skip
    assert native["response"]["city"] in ("Paris", "Rome")


async def test_a_tool_call_in_every_form(openai: AsyncOpenAI, cloudflare: AsyncCloudflare, model: str) -> None:
    asked: Any = {"model": model, "messages": USER, "tools": TOOLS, "tool_choice": NAMED, "max_tokens": 120}
    chat = (await openai.chat.completions.create(**asked)).choices[0]
    [call] = chat.message.tool_calls or []
    assert (call.type, chat.finish_reason) == ("function", "tool_calls")
    async with openai.chat.completions.stream(**asked) as stream:
        gathered = (await stream.get_final_completion()).choices[0]
    [streamed] = gathered.message.tool_calls or []
    response = await openai.responses.create(
        model=model, input="The weather in Rome?", max_output_tokens=120, tools=[{"type": "function", **FUNCTION}],
        tool_choice={"type": "function", "name": "get_weather"})  # type: ignore[list-item]  # fmt: skip
    [item] = [one for one in response.output if one.type == "function_call"]
    native: Any = await cloudflare.ai.run(
        model, account_id="a", messages=USER, max_tokens=120, tools=[FUNCTION], extra_body={"tool_choice": NAMED}
    )
    [flat] = native["tool_calls"]
    assert native["response"] is None
    assert flat["arguments"]["city"] in ("Paris", "Rome")
    for name, arguments in ((call.function.name, call.function.arguments), (item.name, item.arguments),
                            (streamed.function.name, streamed.function.arguments)):  # fmt: skip
        assert name == flat["name"] == "get_weather"
        assert json.loads(arguments)["city"] in ("Paris", "Rome")


async def test_several_answers_and_their_odds(openai: AsyncOpenAI, model: str) -> None:
    answer = await openai.chat.completions.create(
        model=model, messages=USER, n=2, logprobs=True, top_logprobs=2, max_tokens=2, temperature=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        odds = choice.logprobs.content if choice.logprobs else None
        assert odds
        assert all(len(one.top_logprobs) == 2 for one in odds)
    text = await openai.completions.create(model=model, prompt="Rome is", logprobs=1, max_tokens=2)
    odds_of_text = text.choices[0].logprobs
    assert odds_of_text
    assert "".join(odds_of_text.tokens or []).startswith(text.choices[0].text)


@pytest.mark.parametrize("model", [VLLM])
async def test_thoughts(openai: AsyncOpenAI, cloudflare: AsyncCloudflare, model: str) -> None:
    thinking: Any = {"chat_template_kwargs": {"enable_thinking": True}}
    answer = await openai.chat.completions.create(model=model, messages=USER, extra_body=thinking)
    assert answer.choices[0].message.model_dump()["reasoning_content"].strip() == "c d"
    assert (answer.choices[0].message.content or "").strip() == "a b"
    stream = await openai.responses.create(model=model, input="Think!", stream=True, extra_body=thinking)
    kinds = [event.type async for event in stream]
    assert kinds.index("response.reasoning_text.delta") < kinds.index("response.output_text.delta")
    native: Any = await cloudflare.ai.run(model, account_id="a", messages=USER, extra_body=thinking)
    assert native["reasoning_content"].strip() == "c d"


@pytest.mark.parametrize("model", [VLLM])
async def test_a_tool_called_of_its_own_accord_streams_in_the_native_form(pilot: Served, model: str) -> None:
    body = {"messages": USER, "tools": [FUNCTION], "stream": True}
    url, headers = f"{pilot.url}/client/v4/accounts/a/ai/run/{model}", {"Authorization": "Bearer any"}
    async with pilot.http.post(url, data=json.dumps(body), headers=headers) as response:
        *events, done, end = (await response.read()).decode().split("\n\n")
    found = [json.loads(event.removeprefix("data: ")) for event in events]
    pieces = [piece["function"] for event in found for piece in event.get("tool_calls", [])]
    assert "".join(piece.get("name") or "" for piece in pieces) == "get_weather"
    assert json.loads("".join(piece.get("arguments") or "" for piece in pieces)) == {"city": "Paris"}
    assert found[-2] == {"finish_reason": "tool_calls"}
    assert (found[-1]["response"], done, end) == ("", "data: [DONE]", "")
