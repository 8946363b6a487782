"""Shared by every end-to-end test: the real `pilot dev`, in a process of its own, on a free port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from dev_server import READY, Pilot, StartPilot
from markers import markers_of

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in a shell's background; our children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # begun under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
in_this_process: list[str] = []  # the unit test that runs now, if one does


def pytest_configure() -> None:
    sys.addaudithook(keep_to_this_process)


def keep_to_this_process(event: str, args: object) -> None:
    """What a test says it is, by its marker, is what it does."""
    if event in STARTS_A_PROCESS and in_this_process:
        raise AssertionError(f"{in_this_process[0]} starts a process: mark it e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function):
            for name in markers_of(item):
                item.add_marker(name)
        if find_spec("vllm") is None and item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """``JOBS=2``. Not by marks of xdist's own: its release 3.8 and pytest 9.2 do not agree where they are kept."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFiles(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return alone(config.rootpath / nodeid.partition("::")[0])

    return ByFiles(config, log)


@cache
def alone(file: Path) -> str:
    """What runs one after the other where several processes share the tests: a file, whose tests share a server; all
    that loads vLLM, or speaks of it, for its memory; all that begins a cluster of Ray's, which a machine has one of."""
    if "cluster" in file.parts:
        return "ray"
    return "vllm" if "vllm" in file.read_text("utf-8") else str(file)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if item.get_closest_marker("unit") and not item.get_closest_marker("vllm"):  # whose import asks other programs
        in_this_process.append(item.nodeid)
    try:
        return (yield)
    finally:
        in_this_process.clear()


@pytest.fixture
async def start_pilot() -> AsyncIterator[StartPilot]:
    """``await start_pilot(project_or_config, *args, env={...})``: serving, or the test fails with its log."""
    running: list[Pilot] = []

    async def start(project: Path | str, *args: str, env: dict[str, str] | None = None, ready: bool = True) -> Pilot:
        path = Path(project)
        where = ["--config", str(path)] if path.is_file() and path.suffix != ".py" else []
        script = [path.name] if path.suffix == ".py" else []
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "runtime.cli", "dev", *script, *where, "--port", "0", "--log-format", "json",
            *args, cwd=path.parent if path.is_file() else path, env={**os.environ, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )  # fmt: skip
        pilot = Pilot(process)
        running.append(pilot)
        if ready:
            pilot.url = (await pilot.event("ready", within=READY))["url"]
        return pilot

    yield start
    for pilot in running:
        await pilot.stop()


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """``project(entry="...", config="...", **{"other.py": "..."})`` writes a worker's folder and returns it."""

    def write(entry: str, config: str = "", files: dict[str, str] | None = None) -> Path:
        (tmp_path / "wrangler.toml").write_text('name = "test"\nmain = "entry.py"\n' + config)
        for name, text in {"entry.py": entry, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write
