"""What no cluster comes out of whole: nodes that are lost or frozen, a head that goes. So this is its last file."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import aiohttp
import psutil
import pytest

pytest.importorskip("ray")

from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool
from fronts_support import FRONTS, TRIES, everywhere, fresh, fronts
from hosting import Host, worker
from models_support import text_of, tokens_of
from ray_support import ASK, STEP_S, Fault, RayCluster, all_ready, broken_off, collect, group_of, on_cluster, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
RECONNECT_S = 8


async def test_the_head_is_gone_and_comes_back_with_its_state(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(gpus=1))
    async with aclosing(group.generate(ASK, "r")) as stream:
        await anext(stream)
        await ray.do("kill_head")
        for _ in range(100):
            await anext(stream)
        assert text_of(await collect(group, "a b")) == "a b", "requests go past it, too"
        await ray.do("begin_head")
        for _ in range(50):
            await anext(stream)
        began = time.monotonic()
        ray.actors()[0].kill()
        await broken_off(stream)
    assert text_of(await collect(group, "a b")) == "a b"
    print(f"head back with its state: an actor that was killed is back after {time.monotonic() - began:.1f} s")


async def test_a_label_is_waited_for_and_a_lost_node_is_left(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(gpus=1, where={"kind": "c"}))
    await until(lambda: "label kind: c" in group.members[0].room.detail)
    first = await ray.do("add", 2, '{"kind": "c"}')
    await all_ready(group, 1)
    assert group.members[0].room.detail == ""
    stream = group.generate(ASK, "r")
    await anext(stream)
    await ray.do("add", 2, '{"kind": "c"}')
    fault = Fault("raylet killed")
    await ray.do("kill_node", int(first))
    await broken_off(stream)
    fault.says("told")
    assert text_of(await collect(group, "a b")) == "a b"
    fault.says("answered")


ENTRY = """
import os
from workers import Response, URL
async def fetch(request, env):
    stream = "stream" in URL(request.url).search_params
    inputs = {"prompt": "a b", "stream": stream, "max_tokens": 100000 if stream else 2}
    answer = await env.AI.run("own/frozen", inputs)
    return Response(answer, headers={"zygote": str(os.getppid())}) if stream else Response(answer["response"])
"""
ROWS = '"own/frozen": {engine: echo, model: frozen, echo: {rate: 20, tokens: 100000}, replicas: 1, gpus: 1}\n'


async def test_every_front_leaves_a_frozen_node(ray: RayCluster, tmp_path: Path) -> None:
    """Also the streams of those that are not the first end, and what is asked for next is answered elsewhere."""
    await until(lambda: not ray.engines())
    data, asked = tmp_path / "data", "/_w/app/"
    data.mkdir()
    async with (
        on_cluster(data, ray.address, ROWS, "--fronts", str(FRONTS), "--isolates", "1") as host,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as http,
    ):
        pids = await fronts(host)
        await host.deploy(worker(tmp_path / "app", ENTRY, 'ai = {binding = "AI"}'))
        await answered_everywhere(host, asked)
        streams = [await http.get(f"{host.url}{asked}?stream=1") for _ in range(TRIES)]
        for stream in streams:
            await stream.content.readline()
        assert {psutil.Process(int(stream.headers["zygote"])).ppid() for stream in streams} == {*pids.values()}
        began = time.monotonic()
        await ray.do("freeze_node", ray.actors()[0].ppid())
        ends = await asyncio.wait_for(asyncio.gather(*(stream.read() for stream in streams)), STEP_S)
        told = time.monotonic() - began
        assert [end for end in ends if b"The model stopped" not in end] == []
        await answered_everywhere(host, asked)
        await ray.do("end_frozen")
    print(f"frozen node: told after {told:.1f} s, answered elsewhere after {time.monotonic() - began:.1f} s")


async def answered_everywhere(host: Host, path: str) -> None:
    """Once the model is loaded, by every front."""
    async with asyncio.timeout(STEP_S):
        while (await fresh(host, path))[1] != b"a b":
            await asyncio.sleep(0.1)
    assert await everywhere(host, path) == {b"a b": TRIES}


async def test_without_a_head_all_goes_on_until_the_nodes_end(ray: RayCluster, pool: EnginePool) -> None:
    limit = {"RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S)}
    await ray.do("add", 1, '{"kind": "limited"}', **limit)
    group = group_of(pool, Placement(gpus=1, where={"kind": "limited"}))
    stream = group.generate(ASK, "r")
    await anext(stream)
    await ray.do("kill_head")
    began = time.monotonic()
    assert tokens_of([await anext(stream) for _ in range(150)]) == 150
    assert text_of(await collect(group, "a b")) == "a b"
    await broken_off(stream)
    lasted = time.monotonic() - began
    print(f"without a head: streams went on for {lasted:.1f} s, with a limit of {RECONNECT_S}")
    assert lasted > RECONNECT_S / 2
