"""Traces as a collector receives them: a real OTLP/HTTP receiver, the real exporter, and what leaves for others."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from serving import ROUTER, Served, serving, without

INT8 = "@cf/meta/llama-2-7b-chat-int8"
RUN = "/client/v4/accounts/acc/ai/run/"
BEARER = {"Authorization": "Bearer any"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
EMPTY = "0" * 16
ENTRY = (
    ROUTER
    + """
from workers import Response, WorkerEntrypoint, fetch as get

async def chat(env):
    answer = await env.AI.run("@cf/meta/llama-2-7b-chat-int8",
                              {"messages": [{"role": "user", "content": "one two three"}], "stream": True, "seed": 7})
    return Response(answer, headers={"content-type": "text/event-stream"})

async def remote(env):
    return Response.json(await env.AI.run("remote", {"prompt": "hello"}))

async def several(env):
    return Response.json(await env.AI.run("several", {"prompt": "hello"}))

async def outside(request, env):
    return await get(env.ELSEWHERE + "/seen?key=secret")

async def passed_on(request, env):
    return await get(env.ELSEWHERE + "/seen", headers=request.headers)

async def its_own(env):
    return await get(env.ELSEWHERE + "/seen", headers={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})

async def key():
    import os
    return Response(str("OTEL_EXPORTER_OTLP_HEADERS" in os.environ))

async def calls(env):
    return Response(await env.SELF.name() + await (await env.SELF.fetch("http://x/key?secret")).text())

class Named(WorkerEntrypoint):
    async def name(self):
        return "named "

    async def fetch(self, request):
        return Response("answered")

async def broken():
    raise ValueError("the client's own words")
"""
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SELF = '[[services]]\nbinding = "SELF"\nservice = "lit"\nentrypoint = "Named"\n'


class Collector:
    """Receives spans, and is whatever else the worker asks outside: an OpenAI-compatible server, a mirror."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.keys: set[str] = set()
        self.asked: list[tuple[str, str]] = []  # (path, traceparent)
        self._more = asyncio.Condition()

    async def receive(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("x-key", ""))
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        async with self._more:
            self._more.notify_all()
        return web.Response(content_type="application/x-protobuf")

    async def mirror(self, request: web.Request) -> web.Response:
        """The trace context it was asked with."""
        self.asked.append((request.path, request.headers.get("traceparent", "")))
        return web.json_response({"traceparent": request.headers.get("traceparent", "")})

    async def complete(self, request: web.Request) -> web.Response:
        await self.mirror(request)
        event = {
            "choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
        return web.Response(text=f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n", content_type="text/event-stream")

    async def trace(self, of: str, count: int) -> dict[str, Any]:
        """The spans of one trace by name, once there are as many."""

        def found() -> list[Any]:
            return [span for span in self.spans if span.trace_id.hex() == of]

        async with asyncio.timeout(40), self._more:
            await self._more.wait_for(lambda: len(found()) >= count)
        assert len(found()) == count, [span.name for span in found()]
        return {span.name: span for span in found()}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    app.router.add_post("/v1/chat/completions", collector.complete)
    app.router.add_get("/{path:.*}", collector.mirror)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


def written(folder: Path, elsewhere: str, settings: str = "") -> Path:
    remote = f"remote: {{engine: openai, model: far, options: {{base_url: {elsewhere}/v1}}}}\n"
    remote += (
        remote.replace("remote:", "several:")
        .replace("{engine", "{replicas: {max: 2}, engine")
        .replace("}}", ", api_key: several}}")
    )
    full = "full: {engine: echo, options: {context_window: 2}}\n"
    config = f'name = "lit"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n[vars]\nELSEWHERE = "{elsewhere}"\n{settings}'
    config += SELF
    for name, text in {"entry.py": ENTRY, "wrangler.toml": config, "models.yaml": remote + full}.items():
        (folder / name).write_text(text)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = written(tmp_path_factory.mktemp("traced"), collector.url, f'[pilot]\notlp = "{collector.url}"\n')
    env = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=s3cret"}
    async with serving(folder, env=env) as pilot:
        yield pilot


def facts(span: Any) -> dict[str, Any]:
    """A span's attributes as plain values."""

    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {each.key: plain(each.value) for each in span.attributes}


def child_of(span: Any, parent: Any) -> bool:
    inside = parent.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    return span.parent_span_id == parent.span_id and inside


def parent(number: int) -> tuple[dict[str, str], str]:
    """(headers, trace id) of a client that traces, each with a trace of its own."""
    trace = f"{number:032x}"
    return {"traceparent": PARENT.replace(TRACE, trace)}, trace


async def test_from_a_request_through_the_worker_to_the_engine(pilot: Served, collector: Collector) -> None:
    status, text = await pilot.ask("/chat", headers={"traceparent": PARENT, "tracestate": "a=b"})
    assert (status, "[DONE]" in text) == (200, True)
    spans = await collector.trace(TRACE, 5)
    assert child_of(spans["env.AI.run"], spans["worker lit"])
    request, worker, model = spans["GET"], spans["worker lit"], spans[f"chat {INT8}"]
    assert request.parent_span_id.hex() == PARENT.split("-")[2]
    assert child_of(worker, request)
    assert child_of(model, worker)
    assert child_of(spans["engine echo: echo"], model)
    assert [span.kind for span in (request, worker, model)] == [2, 1, 3]  # server, internal, client
    assert facts(request) | {"url.path": "/chat", "http.request.method": "GET", "http.response.status_code": 200} == (
        facts(request)
    )
    told = facts(model)
    assert 0 < told.pop("gen_ai.response.time_to_first_chunk") < 40
    assert len(told.pop("gen_ai.response.id")) == 36
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "echo",
        "gen_ai.request.model": INT8,
        "gen_ai.response.model": "echo",
        "gen_ai.request.max_tokens": 256,
        "gen_ai.request.temperature": 0.6,
        "gen_ai.request.seed": 7,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert collector.services == {"lit"}
    assert "one two three" not in str(collector.spans)  # what is said to a model stays out of traces


async def test_a_call_of_another_worker(pilot: Served, collector: Collector) -> None:
    headers, trace = parent(77)
    assert await pilot.ask("/calls", headers=headers) == (200, "named answered")
    spans = await collector.trace(trace, 4)
    for name in ("worker lit Named.name", "worker lit GET"):
        assert child_of(spans[name], spans["worker lit"])
    assert "secret" not in str(list(spans.values()))


async def test_the_rest_door(pilot: Served, collector: Collector) -> None:
    headers, trace = parent(1)
    body = json.dumps({"prompt": "one two"})
    assert (await pilot.ask(RUN + INT8, "POST", data=body, headers=BEARER | headers))[0] == 200
    spans = await collector.trace(trace, 3)
    assert child_of(spans[f"text_completion {INT8}"], spans["POST"])
    assert facts(spans[f"text_completion {INT8}"])["gen_ai.usage.output_tokens"] == 2


async def test_without_a_parent_a_trace_begins_here(pilot: Served, collector: Collector) -> None:
    assert (await pilot.ask("/outside"))[0] == 200
    async with asyncio.timeout(40):
        while not (roots := [span for span in collector.spans if not span.parent_span_id]):
            await asyncio.sleep(0.02)
    assert [facts(span)["url.path"] for span in roots] == ["/outside"]


@pytest.mark.parametrize("path", ["/outside", "/passed_on"])
async def test_the_trace_goes_on_where_the_worker_fetches(pilot: Served, collector: Collector, path: str) -> None:
    headers, trace = parent(2 + len(path))
    seen = json.loads((await pilot.ask(path, headers=headers))[1])["traceparent"]
    async with asyncio.timeout(40):
        while not (found := [span for span in collector.spans if span.span_id.hex() == seen.split("-")[2]]):
            await asyncio.sleep(0.02)
    (span,) = found
    assert span.trace_id.hex() == seen.split("-")[1] == trace
    told = facts(span)
    assert (span.kind, told["url.full"]) == (3, collector.url + "/seen")  # the query may be secret
    assert told["http.response.status_code"] == 200


async def test_a_worker_that_traces_by_itself_is_left_its_own(pilot: Served) -> None:
    seen = json.loads((await pilot.ask("/its_own"))[1])["traceparent"]
    assert seen == "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


@pytest.mark.parametrize(("path", "replica"), [("/remote", ""), ("/several", " #0")])
async def test_the_trace_goes_on_in_an_openai_server(
    pilot: Served, collector: Collector, path: str, replica: str
) -> None:
    """By way of the engine's process; of one of several, too."""
    headers, trace = parent(30 + len(path))
    collector.asked.clear()
    assert (await pilot.ask(path, headers=headers))[0] == 200
    spans = await collector.trace(trace, 5)
    model, engine = spans[f"text_completion {path[1:]}"], spans[f"engine openai: far{replica}"]
    assert child_of(engine, model)
    assert facts(engine) == ({"pilot.replica": 0} if replica else {})
    [asked] = [context for path, context in collector.asked if path == "/v1/chat/completions"]
    assert asked.split("-")[1:3] == [trace, engine.span_id.hex()]
    assert facts(model)["gen_ai.response.model"] == "far"


async def test_the_collectors_key_is_not_the_workers(pilot: Served, collector: Collector) -> None:
    headers, trace = parent(60)
    assert await pilot.ask("/key", headers=headers) == (200, "False")
    await collector.trace(trace, 2)
    assert collector.keys == {"s3cret"}


async def test_failures_are_marked_and_not_quoted(pilot: Served, collector: Collector) -> None:
    headers, trace = parent(40)
    assert (await pilot.ask("/broken", headers=headers))[0] == 500
    spans = await collector.trace(trace, 2)
    assert [(span.status.code, facts(span)["error.type"]) for span in (spans["GET"], spans["worker lit"])] == [
        (2, "500"),
        (2, "ScriptError"),
    ]
    headers, trace = parent(41)
    body = json.dumps({"prompt": "too long for it"})
    assert (await pilot.ask(RUN + "full", "POST", data=body, headers=BEARER | headers))[0] == 413
    spans = await collector.trace(trace, 3)
    assert [spans[name].status.code for name in ("text_completion full", "engine echo: echo")] == [2, 2]
    assert "own words" not in str(collector.spans)


async def test_the_last_spans_are_sent_when_it_stops(tmp_path: Path) -> None:
    """By way of OpenTelemetry's own variables; nothing would be sent before it stops."""
    env = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_SERVICE_NAME": "named"}
    async with collecting() as collector:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        async with serving(written(tmp_path, collector.url), env=env) as pilot:
            assert (await pilot.ask("/outside"))[0] == 200
            assert collector.spans == []
        assert ({span.name for span in collector.spans}, collector.services) == ({"GET", "worker lit"}, {"named"})


async def test_a_collector_that_is_gone_keeps_nobody_waiting(tmp_path: Path) -> None:
    folder = written(tmp_path, "http://127.0.0.1:9", '[pilot]\notlp = "http://127.0.0.1:9"\n')
    async with serving(folder, env={"OTEL_BSP_SCHEDULE_DELAY": "50"}) as pilot:
        assert (await pilot.ask("/chat"))[0] == 200
    assert pilot.process.returncode == 0


async def test_where_the_libraries_are_not_installed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> None:
    env = without(tmp_path_factory.mktemp("site"), "opentelemetry")
    folder = written(tmp_path, collector.url, f'[pilot]\notlp = "{collector.url}"\n')
    async with serving(folder, env=env) as pilot:
        line = await pilot.says("OpenTelemetry is not installed")
        assert f"{sys.executable} -m pip install -e '" in line["text"]
        assert "[otel]'" in line["text"]
        assert (await pilot.ask("/chat"))[0] == 200


async def test_no_trace_where_none_is_wanted(tmp_path: Path, collector: Collector) -> None:
    """The client's header reaches the worker, and goes no further by itself."""
    async with serving(written(tmp_path, collector.url)) as pilot:
        headers, _ = parent(50)
        assert json.loads((await pilot.ask("/outside", headers=headers))[1])["traceparent"] == ""
        assert json.loads((await pilot.ask("/passed_on", headers=headers))[1]) == headers
