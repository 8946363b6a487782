"""A Ray cluster of the tests' own, and the engines of supervisors that use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from bindings.ai.cluster.cluster import Cluster
from bindings.ai.engine.protocol import Delta, EngineLost, EngineSpec, Generate
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool
from families import ENGINE, running
from hosting import Host, hosting
from models_support import Said

STEP_S = 90  # on two busy processors
SCRIPT = Path(__file__).parents[2] / "cluster/ray_cluster.py"
SPEC = EngineSpec(engine="echo", model="e", options={"rate": 50, "tokens": 100_000})
ASK = Generate(prompt="where is new york?", max_tokens=100_000)
RAY = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or loopback is no address for a cluster
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_raylet_start_wait_time_s": "200",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
}


class RayCluster:
    """``address`` of its head; ``do(method, ...)`` of ``ray_cluster.Nodes``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = self._line()

    async def do(self, method: str, *args: object, **named: object) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, args, named]) + "\n")
        self.process.stdin.flush()
        return await asyncio.wait_for(asyncio.to_thread(self._line), STEP_S)

    def _line(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                return str(json.loads(line))
        raise AssertionError("the cluster has ended")

    def engines(self) -> list[psutil.Process]:
        return running(self.process.pid, ENGINE)

    def actors(self) -> list[psutil.Process]:
        return [parent for engine in self.engines() if (parent := engine.parent()) is not None]


@contextlib.contextmanager
def ray_environment(**more: str) -> Iterator[None]:
    """What every process of a cluster and whoever speaks to it has in common: ``RAY``, a token, and ``more``."""
    told = {**RAY, "RAY_AUTH_TOKEN": secrets.token_hex(16), **more}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def ray_cluster(nodes: list[str], log: Path) -> Iterator[RayCluster]:
    """``nodes``: GPUs and labels of each."""
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *nodes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield RayCluster(process)
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.communicate()


@contextlib.asynccontextmanager
async def on_cluster(data: Path, address: str, rows: str, *args: str, **env: str) -> AsyncIterator[Host]:
    """``pilot host`` with these rows as its models."""
    (data / "models.yaml").write_text(rows)
    (data / "host.toml").write_text("[pilot]\nload_timeout = 6\n[pilot.cluster]\nlinger = 2\n")
    async with hosting(data, "--ray", address, *args, env=env, engine=None) as host:
        yield host


@contextlib.asynccontextmanager
async def front(ray: RayCluster, said: Said, *, linger_s: float = 2) -> AsyncIterator[EnginePool]:
    """The engines of one supervisor, whose replicas go soon after it."""
    cluster = Cluster(ray.address, linger_s, said.warn, said.note)
    pool = EnginePool(said, load_timeout=STEP_S, elsewhere=cluster)
    yield pool
    await let_go(ray, pool)
    await pool.aclose()


async def let_go(ray: RayCluster, pool: EnginePool) -> None:
    """Nothing is wanted any more: whoever comes next finds free GPUs."""
    for group in pool.groups:
        await group.aclose()
    pool._engines.clear()
    await until(lambda: not ray.engines())


def group_of(pool: EnginePool, placement: Placement, model: str = "e") -> Replicas:
    group = pool.get(EngineSpec(engine="echo", model=model, options=SPEC.options), placement)
    assert isinstance(group, Replicas)
    return group


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(STEP_S):
        while not condition():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.02)


async def all_ready(group: Replicas, number: int) -> None:
    await until(lambda: [client.state for client in group.members.values()] == ["ready"] * number)


async def collect(group: Replicas, prompt: str) -> list[Delta]:
    async with aclosing(group.generate(Generate(prompt=prompt, max_tokens=len(prompt.split())), "r")) as deltas:
        return [delta async for delta in deltas]


async def broken_off(stream: object) -> float:
    """Seconds until a stream's reader is told that it has ended too early."""
    began = time.monotonic()
    with pytest.raises(EngineLost):
        await asyncio.wait_for(read_on(stream), STEP_S)
    return time.monotonic() - began


class Fault:
    """Its times, for docs/cluster.md: printed where ``-s`` is given."""

    def __init__(self, name: str) -> None:
        self._name, self._began = name, time.monotonic()

    def says(self, what: str) -> None:
        print(f"{self._name}: {what} after {time.monotonic() - self._began:.2f} s")


async def read_on(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass
