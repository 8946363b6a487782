"""R2 beside servers of files, and Vectorize beside the product of a matrix and a vector that its search is at least."""

from __future__ import annotations

import asyncio
import platform
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from bench import load, machine, servers
from bench.bindings import OURS as BINDINGS
from bench.bindings import ask
from bench.measures import Length, Numbers
from bench.running import HERE, Running, Server

OBJECT_BYTES = 100 * 1000 * 1000
_LARGE_S = 4.0  # seconds at least: an answer takes one on a busy machine
VECTORS, DIMENSIONS = 100_000, 384
_NGINX = "nginx"
_NGINX_CONF = """
daemon off; master_process off; pid nginx.pid;
events { worker_connections 64; }
http {
    access_log off; sendfile on; autoindex on;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    server { listen 127.0.0.1:%(port)d; root %(folder)s; }
}
"""
_STATE = load.CACHE / f"vectors-{VECTORS}-{DIMENSIONS}"  # made once
_R2 = '[[r2_buckets]]\nbinding = "R2"\nbucket_name = "bench"\n'
_VECTORIZE = f"""
[[vectorize]]
binding = "DOCS"
index_name = "docs"
[pilot.vectorize.docs]
dimensions = {DIMENSIONS}
metric = "cosine"
"""


def _worker(folder: Path, tables: str) -> None:
    shutil.copy(HERE / "workers" / "keeping.py", folder / "worker.py")
    (folder / "wrangler.toml").write_text(f'name = "bench"\nmain = "worker.py"\n{tables}')


def _bucket(folder: Path, port: int, target: str) -> None:
    _worker(folder, _R2)


def _index(folder: Path, port: int, target: str) -> None:
    _worker(folder, _VECTORIZE)
    if not _STATE.exists():
        aside = Path(f"{_STATE}.part")
        shutil.rmtree(aside, ignore_errors=True)
        asyncio.run(_fill(aside))
        aside.rename(_STATE)
    shutil.copytree(_STATE, folder / ".pilot" / "state")


async def _fill(state: Path) -> None:
    from bindings.vectorize.indexes import Indexes
    from bindings.vectorize.settings import IndexConfig

    chance, indexes = random.Random(1), Indexes(state)
    indexes.create("docs", IndexConfig(dimensions=DIMENSIONS, metric="cosine"))
    index = indexes.get("docs")
    for first in range(0, VECTORS, 5000):
        vectors = [
            {"id": str(number), "values": [chance.gauss(0, 1) for _ in range(DIMENSIONS)]}
            for number in range(first, first + 5000)
        ]
        await index.insert(vectors, limit=5000)
    await indexes.kept.aclose()


def _file(folder: Path, port: int, target: str) -> None:
    (folder / "object").write_bytes(random.Random(1).randbytes(OBJECT_BYTES))


def _nginx(folder: Path, port: int, target: str) -> None:
    _file(folder, port, target)
    (folder / "nginx.conf").write_text(_NGINX_CONF % {"port": port, "folder": folder})


def _nginx_version() -> str:
    """None of a machine without it."""
    if shutil.which(_NGINX) is None:
        return ""
    shown = subprocess.run([_NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    return shown.strip().rpartition("/")[2]


R2 = replace(BINDINGS, prepare=_bucket)
HTTP_SERVER = replace(servers.UVICORN, name="python -m http.server", prepare=_file, health="/", command=(
    sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{folder}", "--protocol",
    "HTTP/1.1",
), hello=None, proxy=None, idle=None, version=f"of Python {platform.python_version()}")  # fmt: skip
NGINX = replace(
    HTTP_SERVER,
    name="nginx",
    prepare=_nginx,
    command=(_NGINX, "-e", "stderr", "-p", "{folder}", "-c", "nginx.conf"),
    version=_nginx_version(),
)
VECTORIZE = replace(BINDINGS, prepare=_index, patience=120)  # the first time
NUMPY = replace(
    servers.UVICORN, name="numpy, in process", command=servers.uvicorn("numpy_in_process:application"), proxy=None,
    idle=None, patience=60, version=servers.distribution("numpy"),
)  # fmt: skip


def r2_get(server: Server, running: Running, length: Length) -> Numbers:
    """An object of 100 MB, which the worker hands on unread."""
    path = "/object"
    if server.is_ours:
        ask(running, "/r2/begin", 60)
    ask(running, path, 60)
    before = machine.pss(running.process.pid)
    many = load.hello(running.port, 4, max(length.seconds, _LARGE_S), running.cpu, path)
    return {
        "MB/s": many["bytes"] / many["elapsed_us"],
        "CPU/MB µs": many["server_s"] * 1e12 / many["bytes"],
        "PSS MB more": machine.pss(running.process.pid) - before,
        "load busy %": 100 * many["load_busy"],
    }


def search(server: Server, running: Running, length: Length) -> Numbers:
    """The ten nearest of 100,000 vectors of 384 dimensions, exactly."""
    ask(running, "/vectorize/query", 60)  # it reads them
    empty = load.hello(running.port, 1, length.seconds / 2, running.cpu)
    one = load.hello(running.port, 1, length.seconds, running.cpu, "/vectorize/query")
    return {
        "p50 ms": one["p50"] / 1000,
        "p50 over empty ms": (one["p50"] - empty["p50"]) / 1000,
        "CPU/request ms": one["server_s"] / one["requests"] * 1000,
        "PSS MB": machine.pss(running.process.pid),
    }


__all__ = ["HTTP_SERVER", "NGINX", "NUMPY", "R2", "VECTORIZE", "r2_get", "search"]
