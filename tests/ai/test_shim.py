"""JavaScript workers under the real ``wrangler dev``: the same code on two Wranglers, ``env.AI`` is this machine's.

The old one (4.35) speaks the binding's own wire to whatever ``CLOUDFLARE_API_BASE_URL`` names. The new one lets ``AI``
speak to Cloudflare only: there the shim is bound in its place.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from adapter_support import ADAPTER, GOOD
from serving import Served, serving
from wrangler_support import wrangler, wrangler_dev

OLD, NEW = "4.35.0", "4.164.0"
NODES = {OLD: (18, 0), NEW: (22, 12)}
FLAGS = ["enhanced_error_serialization", "enable_abortsignal_rpc"]
ENTRY = "from workers import Response\n\ndef fetch(request):\n    return Response('hi')\n"
MODELS = """
picture: {task: Image-to-Text, engine: echo, vision: true, options: {images: true}}
slow: {engine: echo, options: {rate: 20}}
"""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WORKER = """
const LLAMA = "@cf/meta/llama-2-7b-chat-int8";

const cases = {
  async run({ AI }) {
    const answer = await AI.run(LLAMA, { prompt: "New York" });
    return [answer, typeof (await AI.lastRequestId)];
  },
  async stream({ AI }) {
    const stream = await AI.run("slow", { prompt: "one two three four five", stream: true });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  },
  async refused({ AI }) {
    try { await AI.run("@cf/none/such", { prompt: "x" }); } catch (error) { return [error.name, error.message]; }
  },
  async together({ AI }) {
    const [one, two] = [AI.run("@cf/none/such", { prompt: "x" }), AI.run(LLAMA, { promt: "x" })];
    return [await one.catch(({ name }) => name), await two.then(() => "none", ({ name }) => name)];
  },
  async marked() { console.log("marked here"); return "marked"; },
  async raw({ AI }) {
    const response = await AI.run("@cf/none/such", { prompt: "x" }, { returnRawResponse: true });
    return [response.status, (await response.json()).internalCode];
  },
  async aborted({ AI }) {
    const signal = AbortSignal.timeout(200);
    try {
      const stream = await AI.run("slow", { prompt: "word ".repeat(40), stream: true }, { signal });
      await new Response(stream).text();
      return "ended";
    } catch (error) { return "aborted"; }
  },
  async image({ AI }, request) {
    return AI.run("picture", { prompt: "what?", image: { body: request.body, contentType: "image/png" } });
  },
  async models({ AI }) { return (await AI.models({ search: "bge-base" })).map(({ name }) => name); },
  async nomodels({ AI }) {
    try { await AI.models({ page: 0 }); } catch (error) { return [error.name, typeof error.message]; }
  },
  async markdown({ AI }) {
    const file = { name: "a.html", blob: new Blob(["<h1>Hi</h1>"], { type: "text/html" }) };
    const [one, [two]] = [await AI.toMarkdown(file), await AI.toMarkdown([file])];
    return [one.data.trim(), two.data.trim()];
  },
  async gateway({ AI }) {
    const gateway = AI.gateway("g");
    await AI.run(LLAMA, { prompt: "New York" }, { gateway: { id: "g", metadata: { who: "me" } } });
    const id = await AI.aiGatewayLogId;
    await gateway.patchLog(id, { feedback: 1 });
    const log = await gateway.getLog(id);
    const asked = { provider: "workers-ai", endpoint: LLAMA, headers: {}, query: { prompt: "Hi" } };
    const universal = await gateway.run([asked]);
    return [log.model, log.feedback, log.created_at instanceof Date, (await universal.json()).result.response];
  },
  async nolog({ AI }) {
    try { await AI.gateway("g").getLog("none"); } catch (error) { return error.name; }
  },
};

export default {
  async fetch(request, env) {
    const answer = await cases[new URL(request.url).pathname.slice(1)](env, request);
    return answer instanceof Response ? answer : Response.json(answer);
  },
};
"""
SHIM = {"compatibility_flags": FLAGS, "services": [{"binding": "AI", "service": "pilotlight-ai", "entrypoint": "AI"}]}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Worker:
    """The JavaScript worker's address, the Wrangler that runs it, and what that prints."""

    url: str
    version: str
    log: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("pilot")
    for name, text in {
        "entry.py": ENTRY,
        "models.yaml": MODELS,
        "wrangler.toml": 'name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n',
    }.items():
        (folder / name).write_text(text)
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[OLD, NEW])
async def worker(
    request: pytest.FixtureRequest, pilot: Served, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    command, folder = wrangler(request.param, NODES[request.param]), tmp_path_factory.mktemp("worker")
    (folder / "index.js").write_text(WORKER)
    config: dict[str, Any] = {"name": "app", "main": "index.js", "compatibility_date": "2025-09-01"}
    words, env = (
        ["-c", "wrangler.json"],
        {
            "CLOUDFLARE_API_BASE_URL": f"{pilot.url}/client/v4",
            "CLOUDFLARE_API_TOKEN": "right",
            "CLOUDFLARE_ACCOUNT_ID": "local",
        },
    )
    config |= {"ai": {"binding": "AI"}} if request.param == OLD else SHIM
    if request.param == NEW:
        words, env = [*words, "-c", shim(folder, pilot.url)], {}
    (folder / "wrangler.json").write_text(json.dumps(config))
    async with AsyncExitStack() as stack:
        log: list[str] = []
        url = await stack.enter_async_context(wrangler_dev(command, folder, *words, env=env, log=log))
        yield Worker(url, request.param, log)


def shim(folder: Path, url: str) -> str:
    """As the documentation has it."""
    done = subprocess.run(
        [sys.executable, "-m", "bindings.ai.shim", url],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PILOT_API_TOKEN": "right"},
    )
    return done.stdout.strip()


async def ask(worker: Worker, case: str, data: bytes | None = None) -> Any:
    method = "GET" if data is None else "POST"
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.request(method, f"{worker.url}/{case}", data=data) as response,
    ):
        text = await response.text()
        assert response.status == 200, text
        return json.loads(text)


async def test_an_answer(worker: Worker) -> None:
    answer, request_id = await ask(worker, "run")
    assert answer == {
        "response": "New York",
        "tool_calls": [],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }
    assert request_id in ("string", "function")  # over the shim a promise of one


async def test_a_stream(worker: Worker) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}/stream") as response:
        parts = [part async for part in response.content.iter_any()]
    assert len(parts) > 2  # a token leaves when it is made
    events = b"".join(parts).decode().split("\n\n")
    assert events[0] == 'data: {"response":"one"}'
    assert events[-2:] == ["data: [DONE]", ""]


async def test_refusals(worker: Worker) -> None:
    assert await ask(worker, "refused") == ["AiError", "5007: No such model @cf/none/such or task"]
    assert await ask(worker, "raw") == [400, 5007]
    assert await ask(worker, "nomodels") == ["AiInternalError", "string"]
    assert await ask(worker, "nolog") == "AiGatewayLogNotFound"


async def test_a_refusal_that_is_caught_is_not_logged_as_uncaught(worker: Worker) -> None:
    assert await ask(worker, "together") == ["AiError", "AiError"]
    if worker.version == OLD:
        return  # there the binding throws where it is called
    for case in ("refused", "nomodels", "nolog", "marked"):
        await ask(worker, case)
    async with asyncio.timeout(60):
        while not any("marked here" in line for line in worker.log):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # errors come by another way than what the worker logs
    assert not [line for line in worker.log if "Uncaught" in line]


async def test_a_signal(worker: Worker) -> None:
    """The old binding knew none."""
    assert await ask(worker, "aborted") == ("ended" if worker.version == OLD else "aborted")


async def test_a_stream_as_an_input(worker: Worker) -> None:
    assert await ask(worker, "image", PIXEL) == {"description": "what?"}


async def test_models_and_markdown(worker: Worker) -> None:
    assert "@cf/baai/bge-base-en-v1.5" in await ask(worker, "models")
    assert await ask(worker, "markdown") == ["# Hi", "# Hi"]


async def test_a_gateway(worker: Worker) -> None:
    assert await ask(worker, "gateway") == ["@cf/meta/llama-2-7b-chat-int8", 1, True, "Hi"]


async def test_wranglers_own_commands(pilot: Served, tmp_path: Path) -> None:
    """``wrangler ai``, which pages as Wrangler does and posts JSON as text."""
    env = {
        **os.environ,
        "CLOUDFLARE_API_BASE_URL": f"{pilot.url}/client/v4",
        "CLOUDFLARE_API_TOKEN": "right",
        "CLOUDFLARE_ACCOUNT_ID": "local",
        "WRANGLER_SEND_METRICS": "false",
        "CI": "1",
    }

    def run(*words: str) -> str:
        command = [*wrangler(NEW, NODES[NEW]), "ai", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "@cf/qwen/qwen3-30b-a3b-fp8" in json.dumps(json.loads(run("models", "list", "--json")))
    assert "max_tokens" in run("models", "schema", "@cf/meta/llama-2-7b-chat-int8")
    base = "@cf/mistral/mistral-7b-instruct-v0.2-lora"
    (tmp_path / "adapter_config.json").write_text(json.dumps(GOOD))
    (tmp_path / "adapter_model.safetensors").write_bytes(ADAPTER)
    assert '"wrangled" is ready to use' in run("finetune", "create", base, "wrangled", str(tmp_path))
    assert "wrangled" in run("finetune", "list")
