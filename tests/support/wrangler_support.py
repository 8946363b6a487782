"""The real Wrangler and other packages of npm: installed once into a cache folder, with a Node that is new enough."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

CACHE = Path.home() / ".cache" / "pilotlight-test"
MACHINES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
QUIET = {"WRANGLER_SEND_METRICS": "false", "WRANGLER_SEND_ERROR_REPORTS": "false", "CI": "1"}
READY = 120.0
WRANGLERS = {"4.42.2": (18, 0), "4.164.0": (22, 12)}  # what a host is shown to serve: the version → the Node it needs


def wrangler(version: str, node: tuple[int, int]) -> list[str]:
    """The command's first words, with the Node that this version needs. Skips the test where there is no npm."""
    folder, command = packages(f"wrangler-{version}", node, f"wrangler@{version}")
    return [command, str(folder / "node_modules/wrangler/bin/wrangler.js")]


async def on_host(version: str, *words: str, url: str, token: str, folder: Path, fails: bool = False) -> str:
    """What ``wrangler WORDS``, run in ``folder`` against the host at ``url``, prints."""
    environment = {
        **os.environ, **QUIET, "CLOUDFLARE_API_BASE_URL": f"{url}/client/v4", "CLOUDFLARE_API_TOKEN": token,
        "CLOUDFLARE_ACCOUNT_ID": "host", "HOME": str(folder), "NO_COLOR": "1", "WRANGLER_HIDE_BANNER": "true",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *wrangler(version, WRANGLERS[version]), *words, cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out = (await process.communicate())[0].decode()
    assert bool(process.returncode) == fails, (words, out)
    return out


def packages(name: str, node: tuple[int, int], *wanted: str) -> tuple[Path, str]:
    """The folder that has them, called ``name``, and the Node to run them. Skips the test where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = CACHE / name
    if not folder.is_dir():
        _install(folder, node, wanted)
    own = sorted(folder.glob("node_modules/node-*/bin/node"))
    return folder, str(own[0]) if own else "node"


def _install(folder: Path, node: tuple[int, int], wanted: Sequence[str]) -> None:
    """Beside its place, then moved: another test run may be doing the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as beside:
        words = ["npm", "install", "--prefix", beside, "--no-audit", "--no-fund", *wanted, *_node(node)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        with suppress(OSError):
            os.rename(beside, folder)


def _node(least: tuple[int, int]) -> list[str]:
    """The package with a newer Node, unless the one that is here will do."""
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout
    found = tuple(int(number) for number in re.findall(r"\d+", shown)[:2])
    system, machine = platform.system().lower(), MACHINES[platform.machine()]
    return [] if found >= least else [f"node-{system}-{machine}@{least[0]}"]


@asynccontextmanager
async def wrangler_dev(
    command: list[str], folder: Path, *words: str, env: dict[str, str], log: list[str] | None = None
) -> AsyncIterator[str]:
    """``wrangler dev`` on a free port; its address. ``log`` grows by what it prints."""
    process = await asyncio.create_subprocess_exec(
        *command, "dev", *words, "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", cwd=folder,
        env={**os.environ, **QUIET, **env}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [] if log is None else log
    try:
        async with asyncio.timeout(READY):
            while not (found := re.search(r"Ready on (http://\S+)", lines[-1] if lines else "")):
                line = await process.stdout.readline()
                assert line, "wrangler ended:\n" + "".join(lines)
                lines.append(line.decode(errors="replace"))
        reading = asyncio.create_task(_read(process.stdout, lines))  # or it would block on a full pipe
        yield found[1]
        reading.cancel()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workerd too
        await process.wait()


async def _read(stdout: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stdout.readline():
        lines.append(line.decode(errors="replace"))
