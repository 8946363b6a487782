"""Replicas on a Ray cluster, and what befalls them that leaves the cluster whole."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

pytest.importorskip("ray")

from bindings.ai.cluster.cluster import Cluster
from bindings.ai.engine.protocol import EngineLost, EngineSpec, Generate
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool
from families import ENGINE, running
from hosting import hosting
from models_support import Said, text_of
from ray_support import ASK, STEP_S, Fault, RayCluster, all_ready, broken_off, collect, front, group_of, read_on, until

NODES = {"127.0.0.1", "127.0.0.2"}
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_replicas_run_on_the_nodes_and_fronts_share_them(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(minimum=2, maximum=2, gpus=0.5))
    await all_ready(group, 2)
    assert text_of(await collect(group, "a b c")) == "a b c"
    assert {client.room.node for client in group.members.values()} <= NODES
    before = {engine.pid for engine in ray.engines()}
    async with front(ray, Said()) as other:
        same = group_of(other, Placement(minimum=2, maximum=2, gpus=0.5))
        await all_ready(same, 2)
        assert {engine.pid for engine in ray.engines()} == before
        async with aclosing(same.generate(ASK, "r")) as stream:
            await anext(stream)
            await until(lambda: group.load == 1)
        await until(lambda: group.load == 0)
        await same.aclose()
        assert text_of(await collect(group, "d e")) == "d e", "what one front wants no more another still has"
        await other.aclose()
        other._engines.clear()
        assert {engine.pid for engine in ray.engines()} == before
        await group.aclose()


async def test_an_engine_that_is_killed_is_started_again_in_place(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(minimum=2, maximum=2, gpus=1))
    await all_ready(group, 2)
    streams = [group.generate(Generate(prompt=f"p{number}", max_tokens=100_000), "r") for number in range(6)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    assert sorted(client.live for client in group.members.values()) != [0, 6]
    reading = [asyncio.create_task(read_on(stream)) for stream in streams]
    fault = Fault("engine killed")
    ray.engines()[0].kill()
    await until(lambda: any(task.done() for task in reading))
    fault.says("told")
    await asyncio.sleep(0.5)
    lost = [task for task in reading if task.done()]
    assert 0 < len(lost) < 6
    assert all(isinstance(task.exception(), EngineLost) for task in lost)
    await all_ready(group, 2)
    fault.says("back")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)


async def test_no_token_yet_is_asked_of_the_other_unseen(ray: RayCluster, pool: EnginePool) -> None:
    slow = EngineSpec(engine="echo", model="slow", options={"rate": 0.5, "tokens": 1})
    group = pool.get(slow, Placement(minimum=2, maximum=2, gpus=1))
    assert isinstance(group, Replicas)
    await all_ready(group, 2)
    answers = [asyncio.create_task(collect(group, f"p{number}")) for number in range(6)]
    await until(lambda: group.live == 6)
    ray.engines()[0].kill()
    assert [text_of(deltas) for deltas in await asyncio.gather(*answers)] == [f"p{number}" for number in range(6)]
    assert group.retries > 0


async def test_an_actor_that_is_killed_comes_back(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(gpus=1))
    stream = group.generate(ASK, "r")
    await anext(stream)
    fault = Fault("actor killed")
    ray.actors()[0].kill()
    await broken_off(stream)
    fault.says("told")
    assert text_of(await collect(group, "a b")) == "a b"
    fault.says("answered")


async def test_an_engine_that_hangs_is_killed(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(gpus=1))
    stream = group.generate(ASK, "r")
    await anext(stream)
    hung = ray.engines()[0]
    fault = Fault("engine hung")
    hung.suspend()
    await broken_off(stream)
    fault.says("told")
    assert text_of(await collect(group, "a b")) == "a b"
    fault.says("answered")
    assert ray.engines()[0].pid != hung.pid


async def test_an_agent_that_is_killed_is_missed_by_nobody(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(gpus=1))
    async with aclosing(group.generate(ASK, "r")) as stream:
        await anext(stream)
        cluster = pool._elsewhere
        assert isinstance(cluster, Cluster)
        assert cluster._process is not None
        fault = Fault("agent killed")
        cluster._process.kill()
        for _ in range(20):
            await anext(stream)
    more = group_of(pool, Placement(gpus=1), "another")
    assert text_of(await collect(more, "a b")) == "a b", "a new agent was started for it"
    fault.says("a new replica answered")


async def test_a_replica_stays_for_a_front_that_starts_again(ray: RayCluster) -> None:
    async with front(ray, Said(), linger_s=STEP_S) as first:
        await group_of(first, Placement(gpus=1)).ready()
        before = [engine.pid for engine in ray.engines()]
        await first.aclose()
        await asyncio.sleep(2)
        async with front(ray, Said(), linger_s=STEP_S) as second:
            await group_of(second, Placement(gpus=1)).ready()
            assert [engine.pid for engine in ray.engines()] == before


async def test_a_host_on_the_cluster(ray: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text('"own/e": {engine: echo, replicas: 2, gpus: 1}\n')
    (tmp_path / "host.toml").write_text("[pilot.cluster]\nlinger = 1\n")
    async with hosting(tmp_path, "--ray", ray.address, env={"PILOT_API_TOKEN": "secret of ours"}) as host:
        fields = {"prompt": "a b", "max_tokens": 2}
        status, answer = await host.api("POST", "/client/v4/accounts/host/ai/run/own/e", fields)
        assert (status, answer["result"]["response"]) == (200, "a b")
        rows = json.loads(await host.cli("status", "--json"))["engines"]
        assert {row["node"] for row in rows if row["state"] == "ready"} <= NODES
        assert not running(host.process.pid, ENGINE)
        (agent,) = running(host.process.pid, "bindings.ai.cluster.agent")
        assert not [name for name in agent.environ() if name.startswith("PILOT_")]
        assert not [name for engine in ray.engines() for name in engine.environ() if name == "PILOT_API_TOKEN"]
    await until(lambda: not ray.engines())


# What is replaced or let go of without anybody's noticing


def words(number: int) -> Generate:
    return Generate(prompt=" ".join(f"w{number}" for _ in range(100)), max_tokens=100)


async def whole(group: Replicas, number: int) -> bool:
    async with aclosing(group.generate(words(number), "r")) as stream:
        return text_of([delta async for delta in stream]) == words(number).prompt


async def test_a_changed_row_takes_over_while_the_old_one_finishes(ray: RayCluster, pool: EnginePool) -> None:
    old = EngineSpec(engine="echo", model="e", options={"rate": 50})
    new = EngineSpec(engine="echo", model="e", options={"rate": 51})
    before = pool.get(old, Placement(minimum=2, maximum=2, gpus=1))
    assert isinstance(before, Replicas)
    await all_ready(before, 2)
    streams = [asyncio.create_task(whole(before, number)) for number in range(8)]
    await until(lambda: before.live == 8)
    after = pool.get(new, Placement(minimum=2, maximum=2, gpus=1))
    assert isinstance(after, Replicas)
    await pool.reconcile([(new, Placement(minimum=2, maximum=2, gpus=1))])
    assert text_of(await collect(after, "a b")) == "a b"
    assert await asyncio.gather(*streams) == [True] * 8
    await until(lambda: len(ray.engines()) == 2)


async def test_fewer_replicas_lose_no_stream(ray: RayCluster, pool: EnginePool) -> None:
    group = group_of(pool, Placement(minimum=3, maximum=3, gpus=1), "fewer")
    await all_ready(group, 3)
    streams = [asyncio.create_task(whole(group, number)) for number in range(9)]
    await until(lambda: group.live == 9)
    group.resize(Placement(minimum=1, maximum=1, gpus=1))
    assert await asyncio.gather(*streams) == [True] * 9
    await until(lambda: len(ray.engines()) == 1)
