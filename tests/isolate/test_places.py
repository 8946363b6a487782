"""Where a start may find nothing to stand on: closed streams, no home, a folder that is gone or cannot be written."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from serving import write

PILOT = (sys.executable, "-P", "-m", "runtime.cli")
ENTRY = """
from workers import Response

async def fetch(request):
    print("heard")
    return Response("fine")
"""
# In a namespace of its own this process is a user whom nobody knows. Not every machine lets one be made.
STRANGER = ("unshare", "--map-user=54321", "--map-group=54321")
strangers = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*STRANGER, "true"], capture_output=True).returncode != 0,
    reason="needs user namespaces",
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "--log-format json >&-", "| true"])
async def test_closed_streams(tmp_path: Path, closed: str) -> None:
    write(tmp_path, ENTRY)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f'"$@" {closed} & echo $! >pid; wait',
        "bash",
        *PILOT,
        "dev",
        "--engine",
        "echo",
        "--port",
        str(port),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{port}/") as response:
                        assert await response.text() == "fine"
                        break
                except aiohttp.ClientConnectionError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        _, err = await process.communicate()
    assert b"Traceback" not in err


async def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ("bash", "-c", f'rmdir "{gone}"; exec "$@"', "bash", *PILOT, "dev")
    code, output = await run(*command, cwd=gone)
    assert (code, output) == (3, f"error {gone}: the folder you are in no longer exists\n  cd to one that does\n")


@strangers
@pytest.mark.parametrize("command", ["host", "host token list"])
async def test_no_home_for_a_host(tmp_path: Path, command: str) -> None:
    code, output = await run(*STRANGER, "env", "-u", "HOME", "-u", "PILOT_DATA", *PILOT, *command.split(), cwd=tmp_path)
    assert code == 3
    assert "HOME is not set, and user 54321 is unknown here" in output
    assert "PILOT_DATA" in output


@strangers
async def test_no_home_for_a_model(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, "ai = {binding = 'AI'}\n")
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f'#!/bin/sh\nexec {" ".join(STRANGER)} env -u HOME -u PILOT_CACHE_DIR -u XDG_CACHE_HOME {sys.executable} "$@"\n'
    )
    wrapper.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        str(wrapper),
        *PILOT[1:],
        "dev",
        "--engine",
        "llamacpp",
        "--port",
        "0",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(60):
        while "PILOT_CACHE_DIR" not in said:
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert "user 54321 is unknown here" in said
    assert "Traceback" not in said


async def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in ("host", "host token list"):
        words = [*command.split()[:1], "--data", str(tmp_path / "file/data"), *command.split()[1:]]
        code, output = await run(*PILOT, *words, cwd=tmp_path)
        assert code == 3
        assert "cannot be used: Not a directory" in output
        assert "--data FOLDER" in output


async def run(*command: str, cwd: Path) -> tuple[int, str]:
    """(exit code, what it says) of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()
