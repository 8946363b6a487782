"""What befalls a cluster whose head keeps its state; and what is replaced or let go of without anybody's noticing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

pytest.importorskip("ray")

from bindings.ai.engine.protocol import EngineSpec, Generate
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool
from models_support import Said, text_of
from ray_support import (
    ASK,
    RayCluster,
    all_ready,
    broken_off,
    collect,
    front,
    group_of,
    ray_cluster,
    ray_environment,
    until,
)  # fmt: skip

pytestmark = pytest.mark.e2e
RECONNECT_S = 20


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    folder = tmp_path_factory.mktemp("ray")
    kept = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "state")}
    limit = {"RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S)}
    with ray_environment(**kept, **limit), ray_cluster(["8", "{}", "8", "{}"], folder / "log") as running:
        yield running


@pytest.fixture
async def pool(ray: RayCluster) -> AsyncIterator[EnginePool]:
    async with front(ray, Said()) as pool:
        yield pool


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


async def test_a_frozen_node_is_left(ray: RayCluster, pool: EnginePool) -> None:
    await ray.do("add", 1, '{"kind": "frozen"}')
    await ray.do("add", 1, '{"kind": "frozen"}')
    group = group_of(pool, Placement(gpus=1, where={"kind": "frozen"}))
    stream = group.generate(ASK, "r")
    await anext(stream)
    at = 3 if ray.actors()[0].ppid() == await ray.pid_of(3) else 2
    began = time.monotonic()
    await ray.do("freeze_node", at)
    told = await broken_off(stream)
    assert text_of(await collect(group, "a b")) == "a b", "on the other one"
    await ray.do("end_frozen")
    print(f"frozen node: told after {told:.1f} s, answered elsewhere after {time.monotonic() - began:.1f} s")


async def test_without_a_head_every_replica_ends_at_the_limit(ray: RayCluster, pool: EnginePool) -> None:
    """The last test: the nodes end with it."""
    group = group_of(pool, Placement(gpus=1), "limit")
    stream = group.generate(ASK, "r")
    await anext(stream)
    await ray.do("kill_head")
    lasted = await broken_off(stream)
    print(f"without a head: streams went on for {lasted:.1f} s, with a limit of {RECONNECT_S}")
    assert lasted > RECONNECT_S / 2
