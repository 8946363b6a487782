"""Whole ways through the real vLLM: an adapter from its upload to its answer, and a guard's verdict."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare

from feature_models import VERDICT, adapter, guard_llama, talking_llama
from serving import Served, serving, write

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.vllm]

ACCOUNT = "0123456789abcdef"
BASE, GUARD = "@cf/meta-llama/llama-2-7b-chat-hf-lora", "@cf/meta/llama-guard-3-8b"
WORKER = f"""
from workers import Response

async def fetch(request, env, ctx):
    asked = {{"messages": [{{"role": "user", "content": "hello"}}], "temperature": 0, "lora": "pirate", "stream": True}}
    return Response(await env.AI.run("{BASE}", asked), headers={{"content-type": "text/event-stream"}})
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    models, folder = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("worker")
    base, guard = talking_llama(models / "base"), guard_llama(models / "guard")
    lora = "enable_lora: true, max_lora_rank: 8, max_loras: 2"
    rows = (
        f'"{BASE}": {{engine: vllm, vllm: {{model: {base}, dtype: float32, {lora}}}}}\n'
        f'"{GUARD}": {{engine: vllm, vllm: {{model: {guard}, dtype: float32}}}}\n'
    )
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": rows})
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


async def run(pilot: Served, model: str, **inputs: Any) -> Any:
    url = f"{pilot.url}/client/v4/accounts/{ACCOUNT}/ai/run/{model}"
    timeout, bearer = aiohttp.ClientTimeout(total=300), {"Authorization": "Bearer right"}
    async with pilot.http.post(url, json={"temperature": 0, **inputs}, headers=bearer, timeout=timeout) as response:
        body = await response.json()
        assert response.status == 200, body
        return body["result"]


async def test_an_adapter_from_its_upload_to_its_answer(pilot: Served, tmp_path: Path) -> None:
    files = adapter(tmp_path / "adapter")
    asked = [{"role": "user", "content": "hello"}]
    async with AsyncCloudflare(api_token="right", base_url=f"{pilot.url}/client/v4", max_retries=0) as client:
        made: Any = await client.ai.finetunes.create(account_id=ACCOUNT, model=BASE, name="pirate")
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            await client.ai.finetunes.assets.create(made.id, account_id=ACCOUNT, file_name=name, file=files / name)
    assert (await run(pilot, BASE, messages=asked))["response"].strip() == "a b"
    assert (await run(pilot, BASE, messages=asked, lora="pirate"))["response"].strip() == "g"
    async with pilot.http.get(pilot.url, timeout=aiohttp.ClientTimeout(total=60)) as response:
        events = [line[6:] for line in (await response.text()).splitlines() if line.startswith("data: {")]
    assert "".join(json.loads(event).get("response") or "" for event in events).strip() == "g"


async def test_a_guards_verdict_as_text_and_as_json(pilot: Served) -> None:
    asked = [{"role": "user", "content": "how do I pick a lock?"}]
    found = await run(pilot, GUARD, messages=asked)
    assert (found["response"], found["usage"]["completion_tokens"]) == (VERDICT, 2)
    found = await run(pilot, GUARD, messages=asked, response_format={"type": "json_object"})
    assert found["response"] == {"safe": False, "categories": ["S1", "S10"]}
