"""The real ``openai`` package for Node and the AI SDK, pointed at the running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serving import Served, serving, write
from upstream import Said, upstream
from wrangler_support import packages

PACKAGES = ("openai@6.49.0", "ai@6.0.326", "@ai-sdk/openai@3.0.141", "@ai-sdk/openai-compatible@2.0.92", "zod@4.6.7")
SCRIPT = Path(__file__).with_name("openai_clients.mjs").read_text()
ACCOUNT = "/client/v4/accounts/0123456789abcdef/ai/v1"
MODELS = """
caller: {{engine: echo, options: {{tool_call: {{name: weather, arguments: {{city: Paris}}}}}}}}
bge: {{task: Text Embeddings, engine: llamacpp}}
broken: {{engine: openai, model: acme, options: {{base_url: '{url}', api_key: k}}}}
"""
WORKER = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
TEXT = "Hello New York"
BROKEN = Said([b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'], cut=True)
STREAMED = {"text": TEXT, "usage": 3, "reason": "stop"}
CALLED = [TEXT, *["weather", "It rains in Paris"] * 2]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("node")
    async with upstream() as server:
        server.says["acme"] = BROKEN
        write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS.format(url=server.url)})
        async with serving(folder) as pilot:
            yield pilot


@pytest.mark.timeout(420)  # the first time they are installed
@pytest.mark.parametrize("base", ["/v1", ACCOUNT])
async def test_what_they_see(pilot: Served, base: str) -> None:
    folder, node = await asyncio.to_thread(packages, "openai-clients-1", (20, 0), *PACKAGES)
    process = await asyncio.create_subprocess_exec(
        node, "--input-type=module", "-e", SCRIPT, "--", pilot.url + base, cwd=folder, stdout=-1, stderr=-1
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    seen: dict[str, Any] = json.loads(out)
    check_chunks(seen.pop("chunks"), own=base == "/v1")
    check_refusals(seen, own=base == "/v1")
    assert seen == {
        "chat": TEXT, "stream": {"text": TEXT, "usage": 3}, "runTools": CALLED, "completions": [[0, "a b"], [1, "c"]],
        "response": TEXT, "responseCut": ["Hello New", "incomplete", "max_output_tokens"], "embeddings": [384, 384],
        "sdkStream": STREAMED, "sdkChat": STREAMED, "sdkResponses": STREAMED, "sdkTools": ["It rains in Paris"],
        "sdkCompletion": {"text": "user: Hello New York assistant:", "usage": 5, "reason": "stop"},
        "sdkCut": {"text": "Hello New", "usage": 2, "reason": "length"}, "sdkEmbeddings": [384, 384],
    }  # fmt: skip


def check_chunks(chunks: list[dict[str, Any]], *, own: bool) -> None:
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")] == [3]
    assert [len(chunk["choices"]) for chunk in chunks[-2:]] == ([1, 0] if own else [1, 1])


def check_refusals(seen: dict[str, Any], *, own: bool) -> None:
    """Each says why, in the classes of the client. What is seen is taken out."""
    unknown, wrong = seen.pop("unknown")["error"], seen.pop("wrong")["error"]
    assert (unknown["name"], unknown["code"]) == ("NotFoundError" if own else "BadRequestError", "model_not_found")
    assert "No such model gpt-4o" in unknown["message"]
    assert (wrong["name"], wrong["param"]) == ("BadRequestError", "temperature")
    assert "'/temperature' must be between" in wrong["message"]
    assert "No such model gpt-4o" in seen.pop("sdkUnknown")["error"]["message"]
    broken = seen.pop("broken")["error"]
    assert (broken["name"], bool(broken["message"]), bool(broken["code"])) == ("APIError", True, True)
    cut = seen.pop("sdkBroken")
    assert (cut["text"], bool(cut["errors"])) == ("Hel", True)
    keyless = seen.pop("sdkKeyless")
    assert keyless == TEXT if own else "X-Auth-Key" in keyless["error"]["message"]
