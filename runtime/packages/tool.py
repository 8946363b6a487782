"""uv, run as a child that ends with whoever waits for it."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from runtime import uv


class Done(NamedTuple):
    """``said``: what it told on standard error."""

    code: int
    out: str
    said: str


async def run(
    words: Sequence[str], cwd: Path, timeout: float, given: str = "", told: Callable[[str], None] | None = None
) -> Done:
    """``given``: its standard input; ``told`` is called with each line of standard error as it comes. Raises UserError
    when there is no uv, TimeoutError after ``timeout`` seconds."""
    process = await asyncio.create_subprocess_exec(
        uv.command(), *words, cwd=cwd, env={**os.environ, "NO_COLOR": "1"}, stdin=PIPE if given else DEVNULL,
        stdout=PIPE, stderr=PIPE, limit=1 << 20,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            out, said, _ = await asyncio.gather(
                _all(process.stdout), _lines(process.stderr, told), _give(process, given)
            )
            return Done(await process.wait(), out, said.strip())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _give(process: asyncio.subprocess.Process, given: str) -> None:
    if process.stdin is not None:
        process.stdin.write(given.encode())
        process.stdin.close()


async def _all(stream: asyncio.StreamReader | None) -> str:
    return (await stream.read()).decode("utf-8", "replace") if stream is not None else ""


async def _lines(stream: asyncio.StreamReader | None, told: Callable[[str], None] | None) -> str:
    lines = []
    while stream is not None and (line := await stream.readline()):
        lines.append(line.decode("utf-8", "replace"))
        if told is not None:
            told(lines[-1].strip())
    return "".join(lines)


__all__ = ["Done", "run"]
