"""Frameworks: an application in a worker beside the same on uvicorn alone, what importing their packages costs, and how
long it takes from nothing to a first token."""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import load, servers
from bench.measures import Length, Numbers, per
from bench.running import HERE, Running, Server

_APPLICATIONS = HERE / "workers" / "frameworks"
_ENTRY = "import asgi\nfrom {0} import app\nDefault = asgi.entrypoint(app)\n"
_CONFIG = 'name = "bench"\nmain = "worker.py"\ncompatibility_date = "2026-10-01"\n'
_IMPORTS = """
import sys, time
import runtime.isolate.main
sys.path.insert(0, {0!r})
began = time.process_time()
import workers, js
print((time.process_time() - began) * 1000)
"""


def _worker(application: str, folder: Path, port: int, target: str) -> None:
    shutil.copy(_APPLICATIONS / f"{application}.py", folder)
    (folder / "worker.py").write_text(_ENTRY.format(application))
    (folder / "wrangler.toml").write_text(_CONFIG)


def _packages(folder: Path, port: int, target: str) -> None:
    shutil.copy(_APPLICATIONS / "packages.py", folder / "worker.py")
    (folder / "wrangler.toml").write_text(_CONFIG)


def _pair(application: str, name: str, package: str) -> tuple[Server, Server]:
    """In a worker, and on uvicorn alone."""
    words = list(servers.uvicorn(f"{application}:app"))
    words[words.index("--app-dir") + 1] = str(_APPLICATIONS)
    alone = Server(f"{name} on uvicorn", tuple(words), version=servers.distribution(package), health="/")
    ours = replace(servers.OURS, name=f"pilot, {name}", prepare=partial(_worker, application), health="/", proxy=None,
                   idle=None)  # fmt: skip
    return ours, alone


FASTAPI = _pair("fastapi_app", "FastAPI", "fastapi")
DJANGO = _pair("django_app", "Django", "django")
PACKAGES = replace(FASTAPI[0], name="pilot, FastAPI and packages", prepare=_packages)
_FIRST_HOUR = "{0} init first --template stream && cd first && exec {0} dev --port {{port}}"
FIRST_HOUR = replace(servers.OURS, name="pilot init && pilot dev", prepare=None, proxy=None, idle=None, command=(
    "sh", "-c", _FIRST_HOUR.format(f"{shlex.quote(sys.executable)} -P -m runtime.cli"),
))  # fmt: skip


def hello(server: Server, running: Running, length: Length) -> Numbers:
    many = load.hello(running.port, 64, length.seconds, running.cpu)
    return {
        "CPU/request µs": per(many, "requests"),
        "req/s": many["requests"] / many["elapsed_us"] * 1e6,
        "p99 at 64 ms": many["p99"] / 1000,
    }


def imports(server: Server, length: Length) -> Numbers:
    """Of the SDK, in a process that has the runtime: what a worker's first import costs where nothing is kept."""
    words = [server.command[0], "-c", _IMPORTS.format(str(server.tree / "runtime" / "sdk"))]
    times = [
        float(subprocess.run(words, cwd=server.tree, capture_output=True, text=True, check=True, timeout=60).stdout)
        for _ in range(max(5, length.repeats))
    ]
    return {"CPU ms": statistics.median(times), "worst ms": max(times)}
