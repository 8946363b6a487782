"""Several supervisors behind one port: what one CPU passes on with two of them on it, beside one alone.

Both do a front's whole work there, so two CPUs have twice the quotient, less what only two CPUs can show.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import load, machine
from bench import servers as s
from bench.measures import WARM_UP_S, Length, Numbers, per
from bench.running import Running, Server

STREAMS, RATE = 768, 200  # together more tokens a second than a CPU passes on
PATH = "/_w/bench/tokens"
ENGINE = "bindings.ai.engine.server"  # of its command line


def _prepare(folder: Path, port: int, target: str) -> None:
    s.with_ai(folder, port, target)
    row = {"context_window": 8192, "echo": {"rate": RATE, "tokens": 100_000}}
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "models.yaml").write_text(json.dumps({s.MODEL: row}))


def _host(name: str, *arguments: str) -> Server:
    command = (
        sys.executable, "-P", "-m", "runtime.cli", "host", "--port", "{port}", "--data", "{folder}/data", "--engine",
        "echo", "--isolates", "1", "--log-format", "json", "--log-level", "warning", *arguments,
    )  # fmt: skip
    return Server(name, command, _prepare, version=s.OURS.version, hello=None, health="/__pilot/")


HOSTS = (_host("pilot host"), _host("pilot host --fronts 2", "--fronts", "2"))


def tokens(server: Server, length: Length) -> Numbers:
    """The model's process is on the load's CPU, as EngineCore is elsewhere, and not counted."""
    with server.run() as running:
        _deploy(running)
        load.stream(running.port, 8, 1, running.cpu, PATH, None, WARM_UP_S)
        engines = _engines(running)
        for engine in engines:
            machine.pin_family(engine, machine.LOAD)
        result = load.stream(
            running.port, STREAMS, length.seconds, lambda: machine.cpu_seconds(running.process.pid, engines), PATH,
            None, WARM_UP_S,
        )  # fmt: skip
    return {
        "tokens/s": result["events"] / result["elapsed_us"] * 1e6,
        "CPU/token µs": per(result, "events"),
        "CPU %": 100e6 * result["server_s"] / result["elapsed_us"],
        "load busy %": 100 * result["load_busy"],
    }


def _deploy(running: Running) -> None:
    project = running.folder / "project"
    command = [sys.executable, "-P", "-m", "runtime.cli", "deploy", "--host", f"http://127.0.0.1:{running.port}"]
    token = (project / "data" / "token").read_text().strip()
    subprocess.run(
        command, cwd=project, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PILOT_API_TOKEN": token}
    )


def _engines(running: Running) -> list[int]:
    return [process.pid for process in machine.family(running.process.pid) if ENGINE in process.cmdline()]
