"""A trace goes on in the model, whichever front a request comes to: also where the first one answers the call."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from cloudflare import AsyncCloudflare
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from adapter_support import ADAPTER, GOOD
from bindings.ai.finetunes.adapter import CONFIG, WEIGHTS
from fronts_support import FRONTS, TRIES, fresh, fronts
from hosting import Host, hosting, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="SO_REUSEPORT is Linux's"),
]
ENTRY = """
import json
from workers import Response, URL
async def fetch(request, env):
    inputs, options = json.loads(URL(request.url).search_params.get("asked"))
    return Response.json(await env.AI.run("own/far", inputs, options))
"""
PROMPT = {"prompt": "a"}
EVENT = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}


class Elsewhere:
    """A model's server that keeps the traces it is asked in, and a collector of spans: (trace, name)."""

    def __init__(self) -> None:
        self.traces: list[str] = []
        self.spans: set[tuple[str, str]] = set()
        self.url = ""

    async def complete(self, request: web.Request) -> web.Response:
        self.traces.append(request.headers.get("traceparent", "").split("-")[1])
        return web.Response(text=f"data: {json.dumps(EVENT)}\n\ndata: [DONE]\n\n", content_type="text/event-stream")

    async def collect(self, request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            spans = (span for scope in resource.scope_spans for span in scope.spans)
            self.spans |= {(span.trace_id.hex(), span.name) for span in spans}
        return web.Response(content_type="application/x-protobuf")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhere() -> AsyncIterator[Elsewhere]:
    it, app = Elsewhere(), web.Application()
    app.router.add_post("/v1/chat/completions", it.complete)
    app.router.add_post("/v1/traces", it.collect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield it
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(elsewhere: Elsewhere, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    data = folder / "data"
    data.mkdir()
    far = f"{{engine: openai, model: far, lora: true, options: {{base_url: {elsewhere.url}/v1}}}}"
    (data / "models.yaml").write_text(f'"own/far": {far}\n')
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": elsewhere.url}
    args = ("--fronts", str(FRONTS), "--isolates", "1")
    async with hosting(data, *args, engine=None, env=env) as running:
        await fronts(running)
        await running.deploy(worker(folder / "app", ENTRY, 'ai = {binding = "AI"}'))
        yield running


@pytest.mark.parametrize("asked", [
    [PROMPT, {}],
    [PROMPT, {"gateway": {"id": "g"}}],
    [{"requests": [PROMPT]}, {"queueRequest": True}],
])  # fmt: skip
async def test_the_model_is_asked_within_the_callers_trace(host: Host, elsewhere: Elsewhere, asked: object) -> None:
    elsewhere.traces.clear()
    traces = [f"{number:032x}" for number in range(1, TRIES + 1)]
    for trace in traces:
        headers = {"traceparent": f"00-{trace}-{'2' * 16}-01"}
        status, body = await fresh(host, "/_w/app/", params={"asked": json.dumps(asked)}, headers=headers)
        assert status == 200, body
    async with asyncio.timeout(30):
        while len(elsewhere.traces) < len(traces):  # a batch is run once there is time
            await asyncio.sleep(0.05)
    assert sorted(elsewhere.traces) == traces


async def test_an_adapter_is_asked_for_within_the_callers_trace(host: Host, elsewhere: Elsewhere) -> None:
    """The first front keeps it. This engine has no room for one, and says so."""
    async with AsyncCloudflare(api_token=host.token, base_url=f"{host.url}/client/v4", max_retries=0) as client:
        made: Any = await client.ai.finetunes.create(account_id="host", model="own/far", name="pirate")
        for name, content in ((CONFIG, json.dumps(GOOD).encode()), (WEIGHTS, ADAPTER)):
            await client.ai.finetunes.assets.create(made.id, account_id="host", file_name=name, file=content)
    traces = {f"{number:032x}" for number in range(1001, 1001 + TRIES)}
    for trace in traces:
        headers = {"traceparent": f"00-{trace}-{'2' * 16}-01"}
        await fresh(host, "/_w/app/", params={"asked": json.dumps([{**PROMPT, "lora": "pirate"}, {}])}, headers=headers)
    async with asyncio.timeout(30):
        while not {(trace, "engine openai: far") for trace in traces} <= elsewhere.spans:
            await asyncio.sleep(0.1)
