"""Starting limited processes, and ending them. What they do to themselves: ``bindings.limited.child``."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.limits import cpu_count
from runtime.processes import kill_group

MAX_PROCESSES = max(1, min(4, cpu_count() // 2))  # of one kind at once; the others wait their turn
_PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "VIRTUAL_ENV")


@asynccontextmanager
async def running(module: str, request: bytes, wall_s: float) -> AsyncIterator[Process]:
    """``python -m module REQUEST`` with its standard input and output, until the block ends. Raises TimeoutError after
    ``wall_s`` seconds."""
    process = await start(module, request.decode())
    try:
        async with asyncio.timeout(wall_s):
            yield process
    finally:
        await ended(process)


async def start(module: str, *arguments: str, stdin: int = PIPE) -> Process:
    """Whoever starts one has it ``ended``. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-B", "-m", module, *arguments,
        stdin=stdin, stdout=PIPE, stderr=DEVNULL, cwd="/", env=_environment(), start_new_session=True,
    )  # fmt: skip


async def ended(process: Process) -> None:
    """With all that it has started."""
    kill_group(process.pid)
    await process.wait()


async def answer(process: Process, limit: int) -> bytes | None:
    """All of its output; None when that is more than ``limit`` bytes."""
    assert process.stdout is not None
    output = bytearray()
    while block := await process.stdout.read(1 << 16):
        output += block
        if len(output) > limit:
            return None
    return bytes(output)


def _environment() -> dict[str, str]:
    """Nothing of the supervisor's secrets; one thread, for threads reserve memory that counts."""
    environment = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    return {**environment, "HOME": "/", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


__all__ = ["MAX_PROCESSES", "answer", "ended", "running", "start"]
