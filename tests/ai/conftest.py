"""Shared by the files of this folder, each of which has its own until its last test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest_asyncio

from serving import Served, Start, serving
from tasks_support import Upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def start() -> AsyncIterator[Start]:
    """``await start(folder, *args, env={...})``: served until the last test of the file."""
    async with AsyncExitStack() as stack:

        async def start(folder: Path, *args: str, env: dict[str, str] | None = None) -> Served:
            return await stack.enter_async_context(serving(folder, *args, env=env))

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def task_upstream() -> AsyncIterator[Upstream]:
    """A server that ranks and listens."""
    upstream = Upstream()
    runner = await upstream.start()
    yield upstream
    await runner.cleanup()
