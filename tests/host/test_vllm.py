"""The chat sample on a host with the real vLLM: streams go on while versions come and processes die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from families import ENGINE, ZYGOTE, running
from hosting import Host, hosting
from models_support import tiny_llama

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="a host is Linux's"),
    pytest.mark.vllm,
]

SAMPLES = Path(__file__).parents[2] / "workers"
MODEL = "@cf/meta/llama-2-7b-chat-int8"
LOADING = 400.0  # on a machine that does much else; 25 on one that does not


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("vllm")
    data = folder / "data"
    data.mkdir()
    model = tiny_llama(folder / "tiny")
    options = "max_model_len: 4096"
    (data / "models.yaml").write_text(
        f'"{MODEL}":\n  engine: vllm\n  vllm: {{model: "{model}", {options}}}\n  preload: true\n'
        f"  context_window: 4096\n  max_input_tokens: null\n  max_output_tokens: null\n"
    )
    async with hosting(data, engine=None) as running:
        await running.says("is ready on", within=LOADING)
        yield running


async def events(host: Host, tokens: int = 500) -> list[Any]:
    """The events of one stream of the REST route, from first to last."""
    run = f"{host.url}/client/v4/accounts/host/ai/run/{MODEL}"
    body = {"prompt": "one", "raw": True, "stream": True, "max_tokens": tokens, "temperature": 0}
    async with host.http.post(run, json=body, headers={"authorization": f"Bearer {host.token}"}) as response:
        assert response.status == 200, await response.text()
        text = (await response.read()).decode()
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]


async def chat(host: Host) -> bytes:
    """The bytes of one answer of the chat worker, from the first to the last."""
    async with host.http.get(f"{host.url}/_w/chat/worker-endpoint", params={"query": "one"}) as response:
        assert response.status == 200, await response.text()
        return await response.read()


@pytest.mark.timeout(900)  # the model and eleven deploys share two cores
async def test_streams_finish_while_versions_come_and_isolates_die(host: Host) -> None:
    sample, answers, over = SAMPLES / "chat", list[bytes](), False
    await host.deploy(sample)
    assert "<html" in (await host.get("chat"))[1].lower()

    async def keep_asking() -> None:
        while not over:
            answers.append(await chat(host))

    environment = {**os.environ, "PILOT_HOST": host.url, "PILOT_API_TOKEN": host.token}
    tail = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "tail", "--format", "json", cwd=sample, limit=1 << 20,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert tail.stdout is not None
    assert tail.stderr is not None
    assert b"tailing" in await tail.stderr.readline()
    asking = asyncio.create_task(keep_asking())
    ids = list[str]()
    while len(ids) < 10 or len(answers) < 4:  # an answer may take longer than several deploys
        assert not asking.done(), await asking
        ids.append(await host.deploy(sample, "--message", f"number {len(ids)}"))
    over = True
    await asking
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
    for pid in isolates(host):
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while (await host.get("chat"))[0] != 200:
            await asyncio.sleep(0.05)
    assert "chat" in await host.cli("rollback", ids[0], cwd=sample)
    versions = json.loads(await host.cli("versions", "--json", cwd=sample))
    assert {*ids} <= {row["id"] for row in versions}
    assert (await chat(host)).endswith(b"data: [DONE]\n\n")
    urls = list[str]()
    async with asyncio.timeout(60):
        while sum("worker-endpoint" in url for url in urls) <= len(answers):  # each of them, and the one just now
            event = json.loads(await tail.stdout.readline())["event"]
            urls += [event["request"]["url"]] if event else []
    tail.send_signal(signal.SIGINT)
    await tail.communicate()


def isolates(host: Host) -> list[int]:
    return [child.pid for zygote in running(host.process.pid, ZYGOTE, recursive=False) for child in zygote.children()]


@pytest.mark.timeout(600)
async def test_a_killed_model_comes_back(host: Host) -> None:
    whole = await events(host, 50)
    [engine, *_] = running(host.process.pid, ENGINE)
    since = len(host.events)
    engine.kill()
    assert (await host.get("chat"))[0] == 200, "the worker's own page needs no model"
    await host.says("is ready on", since=since, within=LOADING)
    assert await events(host, 50) == whole
