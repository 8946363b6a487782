"""One cluster for this folder: a head, which keeps its state, and two nodes with logical GPUs, all on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

pytest.importorskip("ray")

from bindings.ai.replicas.pool import EnginePool
from models_support import Said
from ray_support import RayCluster, front, let_go, ray_cluster, ray_environment, until

NODES = "127.0.0.1", "127.0.0.2"


open_here = ExitStack()  # the cluster, until the last test of this folder has run


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> RayCluster:
    """The second of two nodes cannot keep weights."""
    folder = tmp_path_factory.mktemp("ray")
    open_here.enter_context(ray_environment(RAY_gcs_storage="rocksdb", RAY_gcs_storage_path=str(folder / "state")))
    cluster = open_here.enter_context(ray_cluster(["8", "{}"], folder / "log"))
    asyncio.run(cluster.do("add", 8, "{}", NODES[1], PILOT_CACHE_DIR="/dev/null/none"))
    return cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is None or nextitem.path.parent != Path(__file__).parent:
        open_here.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(ray: RayCluster) -> AsyncIterator[EnginePool]:
    await until(lambda: not ray.engines())  # those of the file before linger
    async with front(ray, Said()) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def pool(ray: RayCluster, shared: EnginePool) -> AsyncIterator[EnginePool]:
    """A file's tests have one front, and its replicas for themselves."""
    yield shared
    await let_go(ray, shared)
