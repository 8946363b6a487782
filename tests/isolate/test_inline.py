"""``pilot dev --inline``: the worker in the supervisor's own process, for debuggers."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path

from serving import serving, write

ENTRY = """
import os, sibling
from workers import Response

async def fetch(request, env, ctx):
    async def count():
        for number in range(3):
            yield str(number)
    if "stream" in request.url:
        return Response(count())
    answer = f"{os.getpid()} {env.COLOUR} {sibling.NAME}"
    return Response(answer)
"""
CONFIG = '[vars]\nCOLOUR = "red"\n'


async def test_the_worker_runs_in_the_supervisor_and_reloads(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG, {"sibling.py": 'NAME = "one"'})
    async with serving(tmp_path, "--inline") as pilot:
        assert await pilot.ask() == (200, f"{pilot.process.pid} red one")
        assert await pilot.ask("/stream") == (200, "012")
        seen = len(pilot.events)
        (tmp_path / "sibling.py").write_text('NAME = "two"')
        await pilot.event("reloaded", since=seen)
        assert await pilot.ask() == (200, f"{pilot.process.pid} red two")
        assert not await pilot.save("def fetch(:\n")
        assert await pilot.ask() == (200, f"{pilot.process.pid} red two")
        assert await pilot.save(ENTRY.replace("env.COLOUR", "'blue'"))
        assert await pilot.ask() == (200, f"{pilot.process.pid} blue two")
        assert await pilot.stop() == 0


async def test_a_breakpoint_stops_where_it_stands(tmp_path: Path) -> None:
    write(
        tmp_path,
        ENTRY.replace("    return Response(answer)", "    breakpoint()\n    return Response(answer)"),
        CONFIG,
        {"sibling.py": 'NAME = "one"'},
    )
    near, far = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "dev", "--inline", "--port", "0", "--engine", "echo",
        cwd=tmp_path, stdin=far, stdout=far, stderr=far, env={**os.environ, "TERM": "dumb"}, start_new_session=True,
    )  # fmt: skip
    os.close(far)
    try:
        shown = await until(near, b"http://", b"\n")
        address = shown.rpartition(b"http://")[2].split()[0].decode().rstrip("/")
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await until(near, b"(Pdb)")
        os.write(near, b"answer = 'changed by hand'\n")
        await until(near, b"(Pdb)")
        os.write(near, b"continue\n")
        async with asyncio.timeout(30):
            assert (await reader.read()).endswith(b"changed by hand")
        writer.close()
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        os.close(near)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(terminal: int, *wanted: bytes) -> bytes:
    """What the terminal shows, up to all that is wanted, in this order."""
    shown, place = b"", 0
    async with asyncio.timeout(20):
        for text in wanted:
            while (found := shown.find(text, place)) < 0:
                shown += await asyncio.to_thread(os.read, terminal, 4096)
            place = found + len(text)
    return shown
