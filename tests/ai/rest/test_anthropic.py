"""Anthropic's Messages API: the real ``anthropic`` package, what Claude Code sends, and the bytes of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from anthropic import Anthropic, APIStatusError, AsyncAnthropic, AuthenticationError, BadRequestError, NotFoundError
from pydantic import BaseModel

from serving import Served, serving, write
from upstream import Said, upstream

MODEL, VISION, BGE = "@cf/meta/llama-3.1-8b-instruct", "@cf/meta/llama-3.2-11b-vision-instruct", "@cf/baai/bge-m3"
USER: Any = [{"role": "user", "content": "Hello New York"}]
TOOLS: Any = [
    {
        "name": "get_weather",
        "description": "The weather",
        "cache_control": {"type": "ephemeral"},
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
MODELS = f"""
calls: {{engine: echo, options: {{tool_call: {{name: get_weather, arguments: {{city: Paris}}}}}}}}
thinks: {{engine: echo, options: {{reasoning: let me think}}}}
slow: {{engine: echo, options: {{rate: 10, tokens: 400}}}}
small: {{engine: echo, options: {{context_window: 20}}}}
"{VISION}": {{engine: echo, options: {{images: true}}}}
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("anthropic")
    async with upstream() as server:
        breaks = f"breaks: {{engine: openai, model: breaks, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        server.says["breaks"] = Said([b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'], cut=True)
        write(folder, "def fetch(request): ...", '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS + breaks})
        async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
            yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def claude(pilot: Served) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(api_key="right", base_url=pilot.url, max_retries=0) as client:
        yield client


async def test_a_message(claude: AsyncAnthropic) -> None:
    message = await claude.messages.create(model=MODEL, max_tokens=20, messages=USER, system="be brief")
    assert (message.type, message.role, message.model, message.id[:4]) == ("message", "assistant", MODEL, "msg_")
    [block] = message.content
    assert (block.type, block.text) == ("text", "Hello New York")  # type: ignore[union-attr]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 3)
    assert message._request_id


async def test_why_it_stopped(claude: AsyncAnthropic) -> None:
    for asked, reason, sequence in [
        ({"max_tokens": 2}, "max_tokens", None),
        ({"max_tokens": 9, "stop_sequences": ["x", "York"]}, "stop_sequence", "York"),
    ]:
        message = await claude.messages.create(model=MODEL, messages=USER, **asked)  # type: ignore[call-overload]
        assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
        async with claude.messages.stream(model=MODEL, messages=USER, **asked) as stream:
            final = await stream.get_final_message()
        assert (final.stop_reason, final.stop_sequence) == (reason, sequence)
        assert final.content[0].text == message.content[0].text  # type: ignore[union-attr]
        assert final.usage.output_tokens == message.usage.output_tokens


async def test_there_may_be_less_room_than_asked_for(claude: AsyncAnthropic) -> None:
    long: Any = [{"role": "user", "content": "a b c d e f g h i j k l"}]
    message = await claude.messages.create(model="small", max_tokens=20_000, messages=long)
    assert (message.usage.input_tokens, message.usage.output_tokens, message.stop_reason) == (12, 8, "max_tokens")


async def test_tokens_are_counted(claude: AsyncAnthropic) -> None:
    counted = await claude.messages.count_tokens(model=MODEL, messages=USER, system="be brief")
    assert counted.input_tokens == 5
    with pytest.raises(BadRequestError, match="is for Text Embeddings"):
        await claude.messages.count_tokens(model=BGE, messages=USER)


async def test_a_stream_through_the_helper_that_gathers_it(claude: AsyncAnthropic) -> None:
    async with claude.messages.stream(model=MODEL, max_tokens=20, messages=USER) as stream:
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert texts == ["Hello", " New", " York"]
    assert (final.content[0].text, final.stop_reason) == ("Hello New York", "end_turn")  # type: ignore[union-attr]
    assert (final.usage.input_tokens, final.usage.output_tokens) == (3, 3)


async def events(pilot: Served, path: str = "/v1/messages", **body: Any) -> list[dict[str, Any]]:
    """Every event of a stream; that the two lines of each agree is checked on the way."""
    headers = {"x-api-key": "right", "anthropic-version": "2023-06-01"}
    asked = json.dumps({"model": MODEL, "max_tokens": 20, "messages": USER, "stream": True, **body})
    async with pilot.http.post(pilot.url + path, data=asked, headers=headers) as response:
        assert (response.status, response.headers["content-type"]) == (200, "text/event-stream"), await response.text()
        text = await response.text()
    found = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("content_block_").removeprefix("message_") for event in found]


async def test_the_events_of_a_stream(pilot: Served) -> None:
    found = await events(pilot)
    assert kinds(found) == ["start", "ping", "start", "delta", "delta", "delta", "stop", "delta", "stop"]
    begun = found[0]["message"]
    assert (begun["content"], begun["stop_reason"], begun["usage"]["input_tokens"]) == ([], None, 3)
    assert found[2] == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert found[3] == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    assert found[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert found[-2]["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 3,
    }


async def test_a_loop_of_tool_use(claude: AsyncAnthropic, pilot: Served) -> None:
    first = await claude.messages.create(model="calls", max_tokens=20, messages=USER, tools=TOOLS)
    [use] = first.content
    assert (first.stop_reason, use.type, use.name, use.input) == (  # type: ignore[union-attr]
        "tool_use",
        "tool_use",
        "get_weather",
        {"city": "Paris"},
    )
    result = {
        "type": "tool_result",
        "tool_use_id": use.id,
        "is_error": False,  # type: ignore[union-attr]
        "content": [{"type": "text", "text": "18 degrees"}],
    }
    messages = [*USER, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = await claude.messages.create(
        model="calls", max_tokens=20, messages=messages, tools=TOOLS, tool_choice={"type": "none"}
    )
    assert (second.content[0].text, second.stop_reason) == ("18 degrees", "end_turn")  # type: ignore[union-attr]
    async with claude.messages.stream(model="calls", max_tokens=20, messages=USER, tools=TOOLS) as stream:
        final = await stream.get_final_message()
    assert (final.content[0].input, final.stop_reason) == ({"city": "Paris"}, "tool_use")  # type: ignore[union-attr]
    found = await events(pilot, model="calls", tools=TOOLS, tool_choice={"type": "any"})
    assert kinds(found) == ["start", "ping", "start", "delta", "stop", "delta", "stop"]
    assert found[2]["content_block"] == {"type": "tool_use", "id": "call_0", "name": "get_weather", "input": {}}
    assert found[3]["delta"] == {"type": "input_json_delta", "partial_json": '{"city":"Paris"}'}
    named = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    forced = await events(pilot, model="calls", tools=TOOLS, tool_choice=named)
    assert forced[-2]["delta"]["stop_reason"] == "tool_use"


async def test_thoughts_are_shown_to_who_asks_for_them(claude: AsyncAnthropic, pilot: Served) -> None:
    asked: Any = {"model": "thinks", "max_tokens": 2000, "messages": USER}
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    message = await claude.messages.create(**asked, thinking=thinking)
    thought, said = message.content
    assert (thought.thinking, said.text) == ("let me think", "Hello New York")  # type: ignore[union-attr]
    async with claude.messages.stream(**asked, thinking=thinking) as stream:
        gathered = (await stream.get_final_message()).content
    assert (gathered[0], gathered[1].text) == (thought, "Hello New York")  # type: ignore[union-attr]
    found = await events(pilot, model="thinks", thinking={"type": "adaptive"})
    assert [event["index"] for event in found if event["type"] == "content_block_start"] == [0, 1]
    assert [event["delta"]["type"] for event in found if event["type"] == "content_block_delta"] == [
        *["thinking_delta"] * 3,
        "signature_delta",
        *["text_delta"] * 3,
    ]
    again = [*USER, {"role": "assistant", "content": message.content}, {"role": "user", "content": "and now"}]
    message = await claude.messages.create(**{**asked, "messages": again})
    assert [block.text for block in message.content] == ["and now"]  # type: ignore[union-attr]
    assert kinds(await events(pilot, model="thinks")).count("start") == 2


async def test_what_claude_code_sends(pilot: Served) -> None:
    """Big systems in blocks, marks of the cache, fields of betas, reminders beside a tool's result."""
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1f2e3;"},
        {"type": "text", "text": "You are Claude Code", **cached},
        {"type": "text", "text": "word " * 4000, **cached},
    ]
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>a</system-reminder>"},
                {"type": "text", "text": "list the files", **cached},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I will"},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.py", **cached},
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    found = await events(
        pilot,
        "/v1/messages?beta=true",
        model="calls",
        system=system,
        messages=messages,
        max_tokens=32000,
        tools=TOOLS,
        tool_choice={"type": "none"},
        metadata={"user_id": "u"},
        temperature=1,
        service_tier="auto",
        thinking={"type": "adaptive"},
        context_management={"edits": []},
        output_config={"effort": "high"},
        betas=["x"],
        speed="fast",
    )
    assert "".join(event["delta"]["text"] for event in found if event["type"] == "content_block_delta") == "go on"
    assert found[0]["message"]["usage"]["input_tokens"] == 4004 + 4 + 2 + 1 + 2


async def test_an_image_and_a_document(claude: AsyncAnthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    paper = {"type": "document", "title": "A", "source": {"type": "text", "media_type": "text/plain", "data": "b c"}}
    content: Any = [image, {"type": "text", "text": "what is it?"}]
    message = await claude.messages.create(model=VISION, max_tokens=9, messages=[{"role": "user", "content": content}])
    assert message.content[0].text == "what is it?"  # type: ignore[union-attr]
    with pytest.raises(BadRequestError, match="the model takes none"):
        await claude.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": content}])
    content = [paper, {"type": "text", "text": "d"}]
    message = await claude.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": content}])
    assert message.content[0].text == "A b c d"  # type: ignore[union-attr]


class Country(BaseModel):
    name: str


async def test_structured_outputs(claude: AsyncAnthropic) -> None:
    india: Any = [{"role": "user", "content": '{"name": "India"}'}]
    parsed = await claude.messages.parse(model=MODEL, max_tokens=20, messages=india, output_format=Country)
    assert parsed.parsed_output == Country(name="India")


async def test_refusals(claude: AsyncAnthropic, pilot: Served) -> None:
    with pytest.raises(NotFoundError) as unknown:
        await claude.messages.create(model="claude-opus-9", max_tokens=9, messages=USER)
    assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index,call-overload]
    assert "claude-opus-9" in unknown.value.message
    with pytest.raises(AuthenticationError) as wrong:
        await claude.with_options(api_key="wrong").messages.create(model=MODEL, max_tokens=9, messages=USER)
    assert wrong.value.body["error"]["type"] == "authentication_error"  # type: ignore[index,call-overload]
    headers = {"x-api-key": "another"}
    async with AsyncAnthropic(
        auth_token="right", base_url=pilot.url, max_retries=0, default_headers=headers
    ) as by_token:
        assert (await by_token.messages.create(model=MODEL, max_tokens=9, messages=USER)).content
    for body, told in [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "messages: at least one"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        ({"messages": [*USER, {"role": "assistant", "content": "{"}]}, "must end with a user message"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "content.0: a block of type 'video'"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "a"}]}]}, "tool_use_id"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0: a tool of type"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"model": BGE}, "Text Embeddings"),
        ({"model": "small", "messages": [{"role": "user", "content": "a " * 20}]}, "prompt is too long"),
    ]:
        asked = json.dumps({"model": MODEL, "max_tokens": 9, "messages": USER, **body})
        status, text = await pilot.ask("/v1/messages", "POST", data=asked, headers={"x-api-key": "right"})
        answer = json.loads(text)
        assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error"), text
        assert told in answer["error"]["message"]
    status, text = await pilot.ask("/v1/messages", "POST", data=asked)
    assert (status, json.loads(text)["error"]["type"]) == (401, "authentication_error")


async def test_the_models(claude: AsyncAnthropic) -> None:
    listed = [model async for model in claude.models.list()]
    assert {MODEL, "calls"} <= {model.id for model in listed}
    assert (listed[0].type, listed[0].created_at.year > 1960) == ("model", True)
    assert (await claude.models.retrieve(MODEL)).id == MODEL


async def test_a_stream_that_breaks(claude: AsyncAnthropic) -> None:
    async with claude.messages.stream(model="breaks", max_tokens=9, messages=USER) as stream:
        with pytest.raises(APIStatusError) as broken:
            await stream.until_done()
    assert isinstance(broken.value.body, dict)
    assert broken.value.body["error"]["type"] == "api_error"


async def test_leaving_frees_the_model(pilot: Served, claude: AsyncAnthropic) -> None:
    since = len(pilot.events)
    async with claude.messages.stream(model="slow", max_tokens=400, messages=USER) as stream:
        async for _ in stream.text_stream:
            break
    line = await pilot.event("request", since=since, path="/v1/messages", note="client left")
    assert line["tokens"] < 100


async def test_the_sync_client(pilot: Served) -> None:
    def use() -> str:
        with (
            Anthropic(api_key="right", base_url=pilot.url, max_retries=0) as client,
            client.messages.stream(model=MODEL, max_tokens=20, messages=USER) as stream,
        ):
            return "".join(stream.text_stream)

    assert await asyncio.to_thread(use) == "Hello New York"
