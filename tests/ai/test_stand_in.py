"""The whole stack on real models: SmolLM2 where no other weights are, and vLLM where somebody names some."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from dev_server import Pilot, StartPilot
from families import ENGINE, running
from models_support import tiny_llama

ROOT = Path(__file__).parents[2]
INT8 = "@cf/meta/llama-2-7b-chat-int8"
STREAM = (ROOT / "workers/stream/entry.py").read_text("utf-8")
AI = '[ai]\nbinding = "AI"\n'
LONG = {"prompt": "Tell a long story about New York.", "stream": True, "max_tokens": 400}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=170)) as session:
        yield session


async def timed(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[float, Any]]:
    """(time, event) of each event as it arrives; the last is the text ``[DONE]``."""
    assert (response.status, response.content_type) == (200, "text/event-stream"), await response.text()
    async for line in response.content:
        if data := line.decode().strip().removeprefix("data: "):
            yield asyncio.get_running_loop().time(), data if data == "[DONE]" else json.loads(data)


async def whole(response: aiohttp.ClientResponse) -> tuple[str, dict[str, int], float]:
    """(text, usage, seconds between the first token and the last) of a whole stream."""
    found = [item async for item in timed(response)]
    assert found[-1][1] == "[DONE]"
    events = [event for _, event in found[:-1]]
    text = "".join(event["response"] for event in events)
    return text, events[-1]["usage"], found[-3][0] - found[0][0]


def rest(pilot: Pilot) -> str:
    return f"{pilot.url}/client/v4/accounts/a/ai/run/{INT8}"


def engines(pilot: Pilot) -> list[psutil.Process]:
    return running(pilot.process.pid, ENGINE)


def busy(processes: list[psutil.Process]) -> float:
    """Seconds of processor time they have used so far."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


async def leave_early(pilot: Pilot, http: aiohttp.ClientSession) -> None:
    """A client that goes after the first token: the request ends here, and the model rests."""
    since = len(pilot.events)
    async with http.post(rest(pilot), json=LONG, headers={"Authorization": "Bearer x"}) as response:
        async with aclosing(timed(response)) as events:
            await anext(events)
        response.close()
    line = await pilot.event("request", since=since, note="client left", within=20)
    assert line["tokens"] < LONG["max_tokens"]


async def test_smollm2_stands_in_and_streams(start_pilot: StartPilot, http: aiohttp.ClientSession) -> None:
    """The model is fetched once, into the user's own cache."""
    pilot = await start_pilot(ROOT / "workers/stream", "--engine", "llamacpp")
    async with http.get(pilot.url) as response:
        text, usage, spread = await whole(response)
    assert len(text.split()) > 3
    assert "\ufffd" not in text
    assert 0 < usage["completion_tokens"] <= 256
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert spread > 0.02  # they came one after another
    asked = {"prompt": "What is the capital of France?", "max_tokens": 12, "temperature": 0}
    answers = []
    for _ in range(2):
        async with http.post(rest(pilot), json=asked, headers={"Authorization": "Bearer x"}) as response:
            assert response.headers["cf-ai-stand-in"] == "SmolLM2-135M-Instruct"
            answers.append((await response.json())["result"]["response"])
    assert answers[0] == answers[1] != ""
    await leave_early(pilot, http)
    model = engines(pilot)
    await asyncio.sleep(0.5)
    before = busy(model)
    await asyncio.sleep(1)
    assert busy(model) - before < 0.5  # generating, it would be a second and more


@pytest.mark.vllm
async def test_vllm_behind_the_sample(
    start_pilot: StartPilot, http: aiohttp.ClientSession, project: Any, tmp_path: Path
) -> None:
    model = tiny_llama(tmp_path / "tiny")
    rows = f'"{INT8}": {{vllm: {{model: "{model}", max_model_len: 1024, dtype: float32}}, preload: true}}\n'
    pilot = await start_pilot(project(STREAM, AI, {"models.yaml": rows}), "--engine", "vllm")
    async with http.get(pilot.url) as response:
        text, usage, _ = await whole(response)
        assert "cf-ai-stand-in" not in response.headers
    assert "one two three four" in text
    assert usage["completion_tokens"] == 256
    await leave_early(pilot, http)
    children = engines(pilot)
    assert children
    await pilot.stop()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
