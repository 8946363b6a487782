"""Replicas through the front door: a worker that asks, and what ``pilot ps``, the status and Prometheus show."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from families import ENGINE, running
from hosting import hosting
from serving import serving, write
from terminals import typed

ENTRY = """
from workers import Response
async def fetch(request, env):
    model = request.url.rpartition("/")[2]
    return Response(await env.AI.run(f"own/{model}", {"prompt": "hi there", "stream": True, "max_tokens": 100}))
"""
MODELS = """
"own/pair":
  engine: echo
  echo: {rate: 20, tokens: 100}
  replicas: 2
  gpus: 0.5
"own/huge":
  engine: echo
  gpus: 5
"""
GPU = {"CUDA_VISIBLE_DEVICES": "7"}


async def test_a_worker_is_answered_by_replicas_which_are_shown(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, 'ai = {binding = "AI"}\n', {"models.yaml": MODELS})
    async with serving(tmp_path, env=GPU) as pilot:
        status, text = await pilot.ask("/huge")
        assert status == 500, text
        async with pilot.http.get(pilot.url + "/pair") as response:
            await response.content.readany()
            shown = await asyncio.to_thread(typed, tmp_path, "ps", "--port", pilot.url.rpartition(":")[2])
            engines = running(pilot.process.pid, ENGINE)
            assert len(engines) == 2
            body = await response.text()
        assert body.endswith("data: [DONE]\n\n")
        _, told = await pilot.ask("/__pilot/metrics")
    assert "echo: echo #0" in shown
    assert "echo: echo #1" in shown
    assert shown.count("GPU 7") == 2
    assert "is failed" in shown
    assert "needs 5 GPUs, and this machine has 1 (CUDA_VISIBLE_DEVICES=7)" in shown
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }
    assert samples["pilot_ai_replicas", "own/pair", "ready"] == 2
    assert samples["pilot_ai_replicas_wanted", "own/pair"] == 2
    assert samples["pilot_ai_retries_total", "own/pair"] == 0


async def test_a_host_loads_all_of_them_and_goes_on_when_one_dies(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(MODELS.replace("gpus: 0.5", "gpus: 0.5\n  preload: true"))
    async with hosting(tmp_path, env=GPU) as host:
        async with asyncio.timeout(30):
            while len(await engines(host)) != 2 or {row["state"] for row in await engines(host)} != {"ready"}:
                await asyncio.sleep(0.05)
        os.kill(running(host.process.pid, ENGINE)[0].pid, signal.SIGKILL)
        fields = {"prompt": "a b", "max_tokens": 2}
        status, answer = await host.api("POST", "/client/v4/accounts/host/ai/run/own/pair", fields)
        assert (status, answer["result"]["response"]) == (200, "a b")
        async with asyncio.timeout(30):
            while {row["state"] for row in await engines(host)} != {"ready"}:
                await asyncio.sleep(0.05)
        assert sorted(row["restarts"] for row in await engines(host)) == [0, 1]
        assert "echo: echo #1" in await host.cli("status")


async def engines(host: object) -> list[dict[str, object]]:
    report = json.loads(await host.cli("status", "--json"))  # type: ignore[attr-defined]
    rows: list[dict[str, object]] = report["engines"]
    return rows
