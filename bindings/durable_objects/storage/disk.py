"""Who waits for the disk.

A thread does, so that the loop goes on meanwhile. Where nobody else waits for the loop, and the disk was quick the last
time, the loop waits itself: to hand it over and back takes as long again. A disk that is quick no longer is waited for
so once, and then by threads until it is quick again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bindings.durable_objects.storage.log import Log

SYNC_THREADS = 8
pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="durable")


async def synced(log: Log, alone: Callable[[], bool]) -> None:
    """As ``log.sync``. ``alone()``: whether nobody else waits for the loop."""
    if log.is_quick and alone():
        return log.sync()
    await asyncio.get_running_loop().run_in_executor(pool, log.sync)


__all__ = ["SYNC_THREADS", "pool", "synced"]
