"""The real ``openai`` package, sync and async, and Cloudflare's, pointed at the running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare
from openai import APIError, APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from families import ENGINE, running
from serving import Served, serving, write

MODEL = "@cf/meta/llama-3.1-8b-instruct"
NEWER = "@cf/openai/gpt-oss-20b"
BGE = "@cf/baai/bge-small-en-v1.5"
MODELS = """
embedded: {engine: llamacpp, llamacpp: {model: embedded}}
narrow: {engine: echo, options: {context_window: 10}}
endless: {engine: echo, options: {context_window: 20, tokens: 1000}}
slow: {engine: echo, options: {rate: 50, tokens: 400}}
"""
WORKER = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
USER: Any = [{"role": "user", "content": "Hello New York"}]
INDIA: Any = [{"role": "user", "content": '{"name": "India"}'}]

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Country(BaseModel):
    name: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS})
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module", params=["/v1", "/client/v4/accounts/0123456789abcdef/ai/v1"])
async def openai(pilot: Served, request: pytest.FixtureRequest) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + request.param, max_retries=0) as client:
        yield client


async def test_chat(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model=MODEL, messages=USER)
    assert answer.choices[0].message.content == "Hello New York"
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", MODEL)
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6


async def test_chat_streamed(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model=MODEL, messages=USER, stream=True, stream_options={"include_usage": True, "include_obfuscation": True}
    )
    chunks = [chunk async for chunk in stream]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello New York"
    assert (choices[0].delta.role, choices[-1].finish_reason) == ("assistant", "stop")
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [3]
    assert chunks[-1].usage is not None
    own = "/client/" not in str(openai.base_url)
    assert [len(chunk.choices) for chunk in chunks[-2:]] == ([1, 0] if own else [1, 1])


@pytest.mark.parametrize("model", [MODEL, NEWER])
async def test_chat_through_the_helper_that_gathers_a_stream(openai: AsyncOpenAI, model: str) -> None:
    async with openai.chat.completions.stream(model=model, messages=USER) as stream:
        texts = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(texts) == "Hello New York"
    assert final.choices[0].message.content == "Hello New York"
    assert final.usage is None or final.usage.completion_tokens == 3  # OpenAI tells it where it is asked
    assert ("/client/" in str(openai.base_url)) == (final.usage is not None)


async def test_structured_outputs_are_parsed(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.parse(model=MODEL, messages=INDIA, response_format=Country)
    assert answer.choices[0].message.parsed == Country(name="India")
    response = await openai.responses.parse(model=NEWER, input='{"name": "India"}', text_format=Country)
    assert response.output_parsed == Country(name="India")


async def test_what_is_left_of_the_window_is_filled(openai: AsyncOpenAI) -> None:
    """The service's own 256 elsewhere: whole and streamed, in all three forms."""
    own, text = "/client/" not in str(openai.base_url), "word " * 300
    user: Any = [{"role": "user", "content": text}]
    made = 300 if own else 256
    chat = await openai.chat.completions.create(model=MODEL, messages=user)
    assert chat.usage is not None
    assert (chat.usage.completion_tokens, chat.choices[0].finish_reason) == (made, "stop" if own else "length")
    completion = await openai.completions.create(model=MODEL, prompt=text)
    assert (completion.usage and completion.usage.completion_tokens) == made
    response = await openai.responses.create(model=NEWER, input=text)
    assert (response.usage and response.usage.output_tokens) == made
    assert response.max_output_tokens == (None if own else 256)
    short = await openai.chat.completions.create(model=MODEL, messages=user, max_completion_tokens=7)
    assert (short.usage and short.usage.completion_tokens) == 7
    if own:
        narrow = await openai.chat.completions.create(model="endless", messages=USER)
        assert narrow.usage is not None
        assert (narrow.usage.completion_tokens, narrow.choices[0].finish_reason) == (17, "length")


async def test_completions(openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model=MODEL, prompt="Say it", max_tokens=1)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Say", "length")
    stream = await openai.completions.create(model=MODEL, prompt="Say it", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "Say it"


async def test_completions_of_several_prompts(openai: AsyncOpenAI) -> None:
    """A text, a list of texts, token ids, a list of those; the echo engine says ids as they are."""
    asked: Any
    for asked, texts in (
        (["a b", "c", "d e f"], ["a b", "c", "d e f"]),
        ([7, 8], ["7 8"]),
        ([[7, 8], [9]], ["7 8", "9"]),
    ):
        answer = await openai.completions.create(model=MODEL, prompt=asked, max_tokens=5)
        assert [(choice.index, choice.text) for choice in answer.choices] == [*enumerate(texts)]
        words = len(" ".join(texts).split())
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (words, words)
    answer = await openai.completions.create(model=MODEL, prompt=["a b", "c d"], n=2, best_of=2, max_tokens=1)
    assert [choice.text for choice in answer.choices] == ["a", "a", "c", "c"]
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 4


async def test_completions_of_several_prompts_streamed(openai: AsyncOpenAI) -> None:
    texts, reasons = [""] * 4, [""] * 4
    stream = await openai.completions.create(
        model=MODEL, prompt=["a b", "c d e"], n=2, stream=True, stream_options={"include_usage": True}
    )
    usages = []
    async for chunk in stream:
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert (texts, reasons) == (["a b", "a b", "c d e", "c d e"], ["stop"] * 4)
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(5, 10)]


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a", 3]}, "prompt[1]"),
        ({"prompt": [3, "a"]}, "prompt[1]"),
        ({"prompt": [[3], []]}, "prompt[1]"),
        ({"prompt": [3, -1]}, "prompt[1]"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "a", "n": 2, "best_of": 1}, "best_of"),
        ({"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
    ],
)
async def test_completions_that_are_refused(openai: AsyncOpenAI, asked: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await openai.completions.create(model=MODEL, **asked)
    assert caught.value.param == place


async def test_a_prompt_that_does_not_fit_refuses_them_all(openai: AsyncOpenAI) -> None:
    with pytest.raises(APIStatusError) as caught:
        await openai.completions.create(model="narrow", prompt=["a", "word " * 9], max_tokens=5, stream=True)
    assert caught.value.code == "context_length_exceeded"


async def test_responses(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model=NEWER, input="Hello New York", instructions="be brief")
    assert (answer.output_text, answer.status) == ("Hello New York", "completed")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3
    stream = await openai.responses.create(model=NEWER, input=USER, stream=True)
    kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


async def test_responses_through_the_helper_that_gathers_a_stream(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model=NEWER, input="Hello New York") as stream:
        texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(texts) == final.output_text == "Hello New York"


async def test_embeddings(openai: AsyncOpenAI) -> None:
    packed = await openai.embeddings.create(model=BGE, input=["New York", "a cat"])  # asks for base64 by itself
    plain = await openai.embeddings.create(model=BGE, input=["New York", "a cat"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert plain.usage.total_tokens > 0


async def test_models(openai: AsyncOpenAI) -> None:
    assert MODEL in [model.id async for model in await openai.models.list()]
    assert (await openai.models.retrieve(MODEL)).owned_by == "meta"


async def test_errors_say_why(openai: AsyncOpenAI) -> None:
    own = "/client/" not in str(openai.base_url)
    with pytest.raises(APIStatusError) as unknown:
        await openai.chat.completions.create(model="gpt-4o", messages=USER)
    assert type(unknown.value) is (NotFoundError if own else BadRequestError)  # the service answers 400
    assert "No such model gpt-4o" in unknown.value.message
    assert isinstance(unknown.value.body, dict)
    assert "No such model gpt-4o" in unknown.value.body["message"]
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.type == "invalid_request_error"
    with pytest.raises(BadRequestError) as wrong:
        await openai.chat.completions.create(model=MODEL, messages=[*USER, {"role": "user", "content": 3}])
    assert (wrong.value.code, wrong.value.param) == ("invalid_type", "messages[1].content")
    with pytest.raises(APIStatusError) as missing:
        await openai.models.retrieve("none")
    assert missing.value.status_code == (404 if own else 400)
    with pytest.raises(BadRequestError) as refused:
        await openai.responses.create(model=NEWER, input="hi", previous_response_id="resp_1")
    assert (refused.value.code, refused.value.param) == ("invalid_prompt", "previous_response_id")


async def test_a_prompt_beyond_the_window(openai: AsyncOpenAI) -> None:
    with pytest.raises(APIStatusError) as caught:
        await openai.chat.completions.create(model="narrow", messages=USER, max_tokens=100)
    assert caught.value.code == "context_length_exceeded"
    own = "/client/" not in str(openai.base_url)
    assert caught.value.status_code == (400 if own else 413)
    assert ("This model's maximum context length is exceeded" in caught.value.message) == own  # litellm goes by it


async def test_a_stream_that_breaks_says_why(pilot: Served, openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="slow", messages=USER, stream=True, max_tokens=400)
    with pytest.raises(APIError, match="The model stopped and is being restarted") as caught:
        await read_and_kill(pilot, stream)
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "rate_limit_exceeded")


async def test_a_response_that_breaks_says_why(pilot: Served, openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model="slow", input="Hello", max_output_tokens=400) as stream:
        with pytest.raises(APIError, match="The model stopped and is being restarted"):
            await read_and_kill(pilot, stream)


async def test_a_response_that_the_limit_cuts(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model=NEWER, input="Hello New York", max_output_tokens=2) as stream:
        final = await stream.get_final_response()
    assert (final.output_text, final.status) == ("Hello New", "incomplete")
    assert final.incomplete_details is not None
    assert final.incomplete_details.reason == "max_output_tokens"


async def read_and_kill(pilot: Served, stream: Any) -> None:
    """Read the stream; the models' processes end at its fifth event, and are back when this ends."""
    number = 0
    try:
        async for _ in stream:
            number += 1
            if number == 5:
                [engine.kill() for engine in running(pilot.process.pid, ENGINE)]
    finally:
        asked = {"model": NEWER, "messages": USER, "max_tokens": 1}
        async with asyncio.timeout(90):
            while (await pilot.ask("/v1/chat/completions", "POST", json=asked))[0] != 200:
                await asyncio.sleep(0.1)


async def test_the_sync_client(pilot: Served) -> None:
    def use() -> tuple[str, str]:
        with OpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0) as client:
            chunks = list(client.chat.completions.create(model=MODEL, messages=USER, stream=True))
            response = client.responses.create(model=NEWER, input="Hello")
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), response.output_text

    assert await asyncio.to_thread(use) == ("Hello New York", "Hello")


async def test_cloudflares_client_and_the_newer_models(pilot: Served) -> None:
    base = pilot.url + "/client/v4"
    async with AsyncCloudflare(api_token="any", base_url=base, max_retries=0) as cloudflare:
        answer: Any = await cloudflare.ai.run(NEWER, account_id="a", messages=USER)
        assert answer["choices"][0]["message"]["content"] == "Hello New York"
        answer = await cloudflare.ai.run(NEWER, account_id="a", text="", extra_body={"input": "Hello", "text": None})
        assert answer["output"][0]["content"][0]["text"] == "Hello"
        answer = await cloudflare.ai.run(
            MODEL, account_id="a", messages=INDIA, response_format={"type": "json_object"}, max_tokens=None
        )
        assert answer["response"] == {"name": "India"}


@pytest.mark.timeout(300)
async def test_the_embedded_model(pilot: Served) -> None:
    async with AsyncOpenAI(api_key="any", base_url=pilot.url + "/v1", max_retries=0, timeout=240) as client:
        short: Any = {"model": "embedded", "messages": USER, "max_tokens": 8, "temperature": 0}
        answer = await client.chat.completions.create(**short)
        stream = await client.chat.completions.create(**short, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == answer.choices[0].message.content != ""
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 8
        two = await client.completions.create(
            model="embedded", prompt=[[1, 2, 3], [4]], best_of=3, max_tokens=4, temperature=1, seed=1
        )
        assert [choice.index for choice in two.choices] == [0, 1]
        assert two.usage is not None
        assert two.usage.prompt_tokens == 4
        assert 12 < two.usage.completion_tokens <= 24
        assert two.choices[0].logprobs is None
        with pytest.raises(BadRequestError, match="the model has no token 10000000"):
            await client.completions.create(model="embedded", prompt=[1, 10000000])
        response = await client.responses.create(model="embedded", input="Hi", max_output_tokens=4)
        assert response.incomplete_details is None or response.incomplete_details.reason == "max_output_tokens"
