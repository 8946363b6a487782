"""Whatever is posted to whichever route, the answer is a result or a refusal in Workers AI's words: never a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import Served, serving, write

AI = "/client/v4/accounts/a/ai"
CLASSIC, NEWER, BGE = "@cf/meta/llama-2-7b-chat-int8", "@cf/openai/gpt-oss-20b", "@cf/baai/bge-small-en-v1.5"
VISION = "@cf/google/gemma-4-26b-a4b-it"
ROUTES = [
    f"{AI}/run/{CLASSIC}", f"{AI}/run/{NEWER}", f"{AI}/run/{BGE}", f"{AI}/run", "/v1/chat/completions",
    "/v1/completions", "/v1/responses", "/v1/embeddings", f"{AI}/finetunes", f"{AI}/finetunes/x/finetune-assets",
    f"{AI}/tomarkdown", f"{AI}/run/@cf/baai/bge-m3", f"{AI}/run/@cf/baai/bge-reranker-base",
    f"{AI}/run/@cf/huggingface/distilbert-sst-2-int8", f"{AI}/run/@cf/meta/llama-guard-3-8b",
    f"{AI}/run/@cf/openai/whisper", f"{AI}/run/@cf/llava-hf/llava-1.5-7b-hf",
    "/client/v4/accounts/a/ai-gateway/gateways/g/workers-ai/v1/chat/completions",
]  # fmt: skip
BINDING = ["run", "ai-gateway/run", "to-everything/markdown/transformer", "ai-gateway/universal/run/g"]
LISTS = [f"{AI}/models/search", f"{AI}/models/schema", f"{AI}/tasks/search", f"{AI}/authors/search",
         f"{AI}/finetunes", f"{AI}/finetunes/public", "/v1/models", f"{AI}/tomarkdown/supported"]  # fmt: skip
WORKER = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
BOUNDED = settings(max_examples=50, derandomize=True, deadline=None, database=None,
                   suppress_health_check=list(HealthCheck))  # fmt: skip

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.sampled_from([10**30, -(2**63), 0.5, 1e300, -1]),
    st.text(max_size=4), st.sampled_from(["user", "tool", "hi", "function", "auto", "json_schema", "text", "array"]),
)  # fmt: skip
NAMES = st.sampled_from([
    "type", "role", "content", "text", "function", "name", "arguments", "parameters", "schema", "json_schema",
    "tool_calls", "tool_call_id", "call_id", "image_url", "url", "$ref", "format", "properties", "x",
])  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
GOOD: dict[str, Any] = {
    "prompt": "hi", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "text": "hi", "stream": True,
    "max_tokens": 5, "tools": [{"name": "f", "parameters": {"type": "object"}}], "tool_choice": "auto",
    "response_format": {"type": "json_object"}, "stop": ["a"], "n": 2, "lora": "mine", "logit_bias": {"1": 1},
    "requests": [{"prompt": "hi"}], "request_id": "x", "reasoning": {"effort": "low"}, "include": ["x"],
    "instructions": "be brief", "encoding_format": "base64", "dimensions": 3, "stream_options": {}, "logprobs": True,
    "options": {"gateway": {"id": "g"}}, "functions": [], "guided_json": {"type": "object"}, "name": "n",
    "description": "d", "public": 1, "pooling": "cls", "raw": True, "temperature": 1, "top_p": 1, "seed": 1,
}  # fmt: skip
MODELS = st.sampled_from([CLASSIC, NEWER, BGE, VISION, "none"]) | ANYTHING
BASES = st.sampled_from([{name: GOOD[name]} for name in ("prompt", "messages", "input", "text")])
SOME = st.lists(st.sampled_from(list(GOOD)), max_size=3).map(lambda names: {name: GOOD[name] for name in names})
MESSAGES = st.lists(st.dictionaries(NAMES, ANYTHING, max_size=4), max_size=3).map(lambda found: {"messages": found})
WRONG = st.dictionaries(st.sampled_from(list(GOOD)), ANYTHING, max_size=2) | MESSAGES
FIELDS = st.tuples(MODELS, BASES, SOME, WRONG).map(lambda made: {"model": made[0], **made[1], **made[2], **made[3]})
BODIES = st.one_of(FIELDS.map(json.dumps).map(str.encode), ANYTHING.map(json.dumps).map(str.encode), st.binary())

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("malformed")
    write(folder, WORKER, '[ai]\nbinding = "AI"\n')
    async with serving(folder) as pilot:
        yield pilot


def check(response: httpx.Response, route: str) -> None:
    assert response.status_code == 200 or 400 <= response.status_code < 500, response.text
    if response.status_code == 200:
        return
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    if route.startswith("/v1/"):
        assert set(body["error"]) == {"message", "type", "param", "code"}
    if route.endswith("/responses"):
        assert set(body) == {"error"}
    elif "internalCode" in body:
        assert isinstance(body["internalCode"], int)
        assert "proxy" in route
    else:
        assert (body["success"], list(map(type, body["errors"]))) == (False, [dict])
        assert isinstance(body["errors"][0]["code"], int)
    assert len(response.text) < 3000


async def hammer(pilot: Served, route: str, requests: Any, **headers: str) -> set[int]:
    """The statuses of what ``route`` answers to every request that ``requests`` draws."""
    codes: set[int] = set()
    headers["Authorization"] = "Bearer any"
    with httpx.Client(base_url=pilot.url, headers=headers, timeout=60) as client:

        @BOUNDED
        @given(requests)
        def send(request: dict[str, Any]) -> None:
            response = client.request(url=route, **request)
            check(response, route)
            codes.add(response.status_code)

        await asyncio.to_thread(send)  # the server's log is read meanwhile
    assert not [event for event in pilot.events if event["event"] == "fault"], pilot.log()
    return codes


POSTS = BODIES.map(lambda body: {"method": "POST", "content": body})
NUMBERS = st.sampled_from(["-1", "0", "1", "9" * 40, "NaN", "true", "x", ""])
QUERIES = st.dictionaries(
    st.sampled_from(["page", "per_page", "search", "task", "author", "source", "format", "model", "limit", "offset",
                     "orderBy", "hide_experimental", "include_deprecated"]), NUMBERS | st.text(max_size=5))  # fmt: skip
GETS = QUERIES.map(lambda query: {"method": "GET", "params": query})


@pytest.mark.parametrize("route", ROUTES)
async def test_any_body_is_answered_or_refused(pilot: Served, route: str) -> None:
    assert await hammer(pilot, route, POSTS) & {400, 404}


@pytest.mark.parametrize("operation", BINDING)
async def test_any_body_of_a_binding(pilot: Served, operation: str) -> None:
    meant = {"X-Forwarded": f"https://workers-binding.ai/{operation}?version=3", "cf-consn-model-id": CLASSIC}
    assert 400 in await hammer(pilot, f"{AI}/run/proxy", POSTS, **meant)


@pytest.mark.parametrize("route", LISTS)
async def test_any_query_is_answered_or_refused(pilot: Served, route: str) -> None:
    assert await hammer(pilot, route, GETS) <= {200, 400}
