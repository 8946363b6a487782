"""Prometheus' view of a running server: the text parsed by Prometheus' own library, and who may see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from bindings.ai.observe.metrics import labelled
from runtime.supervisor.telemetry.exposition import Collected, choose
from runtime.supervisor.telemetry.metrics import PATH
from serving import Served, serving

INT8 = "@cf/meta/llama-2-7b-chat-int8"
RUN = "/client/v4/accounts/acc/ai/run/"
BEARER = {"Authorization": "Bearer any"}
ENTRY = """
from workers import Response, URL

async def fetch(request, env, ctx):
    if URL(request.url).pathname == "/broken":
        raise ValueError("broken")
    answer = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "one two three", "stream": True})
    return Response(answer, headers={"content-type": "text/event-stream"})
"""
CONFIG = 'name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n'
Found = dict[str, float]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(written(tmp_path_factory.mktemp("metrics"))) as pilot:
        yield pilot


def written(folder: Path) -> Path:
    slow, full = "{engine: echo, options: {rate: 20, tokens: 2000}}", "{engine: echo, options: {context_window: 5}}"
    models = f"slow: {slow}\nfull: {full}\n"
    for name, text in {"entry.py": ENTRY, "wrangler.toml": CONFIG, "models.yaml": models}.items():
        (folder / name).write_text(text)
    return folder


async def scrape(pilot: Served, headers: dict[str, str] | None = None) -> Found:
    """Samples, each under its name and labels as Prometheus writes them."""
    async with pilot.http.get(pilot.url + PATH, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/plain"
        text = await response.text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a family stands there twice"
    samples = [sample for family in families for sample in family.samples]
    return {f"{sample.name}{written_labels(sample.labels)}": sample.value for sample in samples}


def written_labels(labels: dict[str, str]) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{inner}}}" if inner else ""


def grown(before: Found, after: Found, name: str, **labels: str) -> float:
    key = name + written_labels(labels)
    return after.get(key, 0) - before.get(key, 0)


async def until(pilot: Served, sample: str, value: float) -> Found:
    """The first scrape in which the sample has the value."""
    async with asyncio.timeout(30):
        while (found := await scrape(pilot)).get(sample, 0) != value:
            await asyncio.sleep(0.02)
    return found


async def test_what_a_model_did(pilot: Served) -> None:
    """Through both doors, streamed and whole: three tokens in, three out, each time."""
    before = await scrape(pilot)
    assert "data: [DONE]" in (await pilot.ask("/"))[1]
    body = json.dumps({"prompt": "one two three"})
    assert (await pilot.ask(RUN + INT8, "POST", data=body, headers=BEARER))[0] == 200
    after = await until(pilot, f'pilot_ai_requests_total{{model="{INT8}",outcome="stop"}}', 2)
    for name, more in {
        "input_tokens_total": 6,
        "output_tokens_total": 6,
        "request_duration_seconds_count": 2,
        "time_to_first_token_seconds_count": 2,
        "inter_token_latency_seconds_count": 4,
    }.items():
        assert grown(before, after, f"pilot_ai_{name}", model=INT8) == more, name
    first = "pilot_ai_time_to_first_token_seconds"
    assert [after[f'{first}_bucket{{le="{le}",model="{INT8}"}}'] for le in ("160.0", "+Inf")] == [2, 2]
    assert 0 < after[f'{first}_sum{{model="{INT8}"}}'] < 160


async def test_running_and_aborted(pilot: Served) -> None:
    body = json.dumps({"prompt": "one", "stream": True, "max_tokens": 2000})
    async with pilot.http.post(pilot.url + RUN + "slow", data=body, headers=BEARER) as response:
        await response.content.readuntil(b"\n\n")
        during = await scrape(pilot)
        assert during['pilot_ai_requests_running{model="slow"}'] == 1
        response.close()
    after = await until(pilot, 'pilot_ai_requests_total{model="slow",outcome="aborted"}', 1)
    assert 'pilot_ai_requests_running{model="slow"}' not in after
    assert 1 <= after['pilot_ai_output_tokens_total{model="slow"}'] < 2000


async def test_a_request_that_the_engine_refuses(pilot: Served) -> None:
    body = json.dumps({"prompt": "one two three four", "max_tokens": 100})
    assert (await pilot.ask(RUN + "full", "POST", data=body, headers=BEARER))[0] == 413
    found = await scrape(pilot)
    assert found['pilot_ai_requests_total{model="full",outcome="error"}'] == 1
    assert 'pilot_ai_time_to_first_token_seconds_count{model="full"}' not in found


async def test_http_requests_by_status(pilot: Served) -> None:
    before = await scrape(pilot)
    assert (await pilot.ask("/broken"))[0] == 500
    assert (await pilot.ask(RUN + INT8, "PUT", headers=BEARER))[0] == 405
    async with asyncio.timeout(30):
        while not grown(before, after := await scrape(pilot), "pilot_http_requests_total", method="PUT", status="405"):
            await asyncio.sleep(0.02)
    assert grown(before, after, "pilot_http_requests_total", method="GET", status="500") == 1
    assert grown(before, after, "pilot_http_request_duration_seconds_count", method="PUT") == 1


async def test_the_process_itself(pilot: Served) -> None:
    found = await scrape(pilot)
    assert found["process_resident_memory_bytes"] > 10_000_000


OPEN, PLAIN = "application/openmetrics-text; version=1.0.0; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"
NAMED = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"


@pytest.mark.parametrize(("accept", "kind"), [
    ("application/openmetrics-text; version=1.0.0", OPEN),
    ('application/openmetrics-text; version="1.0.0"', OPEN),
    ("application/openmetrics-text", OPEN),
    ("application/openmetrics-text;version=1.0.0;escaping=underscores", OPEN + "; escaping=underscores"),
    ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
     "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     OPEN + "; escaping=allow-utf-8"),  # what Prometheus 3 sends
    ("text/plain;version=1.0.0;escaping=allow-utf-8", NAMED),
    ("text/plain;q=0.9, application/openmetrics-text;q=0.1", PLAIN),
    ("text/plain;q=0.1, application/openmetrics-text;q=0.9", OPEN),
    ("application/openmetrics-text;q=0", PLAIN),
    ("application/openmetrics-text;version=1.0.0;q=0.0,*/*", PLAIN),
    ("application/openmetrics-text;version=9.9.9", PLAIN),
    ("APPLICATION/OPENMETRICS-TEXT;Version=1.0.0", OPEN),
    ("*/*", PLAIN), ("", PLAIN), ("text/html", PLAIN), ("text/*;q=0.5", PLAIN),
    ("application/openmetrics-text; version=\"1.0.0; q=;;,,=,\"", PLAIN),
    ("application/openmetrics-text; version=x.y", PLAIN), ("application/openmetrics-text; q=nan", PLAIN),
    ("\xff;=\"", PLAIN), ("application/openmetrics-text;version=;escaping=", PLAIN),
])  # fmt: skip
async def test_the_format_that_is_asked_for(pilot: Served, accept: str, kind: str) -> None:
    async with pilot.http.get(pilot.url + PATH, headers={"Accept": accept}) as response:
        assert (response.status, response.headers["content-type"]) == (200, kind)
        text = await response.text()
    assert text.endswith("# EOF\n") == kind.startswith("application/openmetrics-text")


async def test_openmetrics_is_valid(pilot: Served) -> None:
    """By the rules of the library's own parser, which are strict."""
    assert "data: [DONE]" in (await pilot.ask("/"))[1]
    async with asyncio.timeout(30):
        while not (await scrape(pilot)).get(f'pilot_ai_output_tokens_total{{model="{INT8}"}}'):
            await asyncio.sleep(0.02)
    async with pilot.http.get(pilot.url + PATH, headers={"Accept": "application/openmetrics-text"}) as response:
        families = {family.name: family for family in open_families(await response.text())}
    assert families["pilot_http_requests"].type == "counter"
    counted = families["pilot_ai_output_tokens"].samples
    assert [sample.name for sample in counted if sample.labels == {"model": INT8}] == ["pilot_ai_output_tokens_total"]
    assert families["pilot_http_request_duration_seconds"].type == "histogram"


async def test_what_two_engines_tell_is_valid_too() -> None:
    """In Prometheus' format each counter's time of creation is a family of its own."""
    texts = []
    for times in (1, 2):
        registry = CollectorRegistry()
        counter = Counter("vllm:tokens", "Tokens.", ["kind"], registry=registry)
        seconds = Histogram("vllm:seconds", "Seconds.", ["kind"], registry=registry)
        for kind in ("prompt", "output"):
            counter.labels(kind).inc(times)
            seconds.labels(kind).observe(times)
        texts.append(generate_latest(registry).decode())
    told = [family for text, model in zip(texts, ("a", "b"), strict=True) for family in labelled(text, model)]
    encode, _ = choose("application/openmetrics-text")
    families = {family.name: family for family in open_families(encode(Collected(told)).decode())}
    assert set(families) == {"vllm:tokens", "vllm:seconds"}
    found = {(s.labels["kind"], s.labels["model"]): s.value for s in families["vllm:tokens"].samples
             if s.name == "vllm:tokens_total"}  # fmt: skip
    assert found == {("prompt", "a"): 1, ("output", "a"): 1, ("prompt", "b"): 2, ("output", "b"): 2}


async def test_the_worker_keeps_its_own_metrics_path(pilot: Served) -> None:
    assert "data: [DONE]" in (await pilot.ask("/metrics"))[1]


async def test_who_may_see_it(tmp_path: Path) -> None:
    """A token where one is set; at an address that others can reach, no such path without one."""
    async with AsyncExitStack() as stack:
        guarded = await stack.enter_async_context(serving(written(tmp_path), env={"PILOT_API_TOKEN": "s3cret"}))
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            status, text = await guarded.ask(PATH, headers=headers)
            assert (status, "bearer" in text) == (401, True)
        await scrape(guarded, {"Authorization": "Bearer s3cret"})
        open_to_all = await stack.enter_async_context(serving(tmp_path, "--host", "0.0.0.0"))
        open_to_all.url = open_to_all.url.replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession() as http, http.get(open_to_all.url + PATH) as response:
            assert "data: [DONE]" in await response.text()  # the worker's, as every other path
