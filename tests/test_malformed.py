"""Whatever is posted to whichever route, the answer is a result or a refusal in the contract's words: never a 500."""

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
    "/v1/completions", "/v1/responses", "/v1/embeddings", f"{AI}/finetunes", f"{AI}/tomarkdown",
]  # fmt: skip
WORKER = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
BOUNDED = settings(max_examples=80, derandomize=True, deadline=None, database=None,
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
    if route.endswith("/responses"):
        assert set(body["error"]) == {"code", "message"}
    else:
        assert (body["success"], list(map(type, body["errors"]))) == (False, [dict])
        assert isinstance(body["errors"][0]["code"], int)
    assert len(response.text) < 3000


@pytest.mark.parametrize("route", ROUTES)
async def test_any_body_is_answered_or_refused(pilot: Served, route: str) -> None:
    codes: set[int] = set()
    with httpx.Client(base_url=pilot.url, headers={"Authorization": "Bearer any"}, timeout=60) as client:

        @BOUNDED
        @given(BODIES)
        def post(body: bytes) -> None:
            response = client.post(route, content=body)
            check(response, route)
            codes.add(response.status_code)

        await asyncio.to_thread(post)  # the server's log is read meanwhile
    assert 400 in codes
    assert not [event for event in pilot.events if event["event"] == "fault"], pilot.log()
