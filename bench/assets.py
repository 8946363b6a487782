"""Static files: ours beside Starlette's ``StaticFiles``, miniflare and ``wrangler dev``, of one folder each."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

from bench import load, servers
from bench.measures import Length, Numbers, per
from bench.running import HERE, Running, Server

_SMALL_BYTES, _LARGE_BYTES = 4 * 1024, 10 * 1024 * 1024
_CONFIG = 'name = "bench"\ncompatibility_date = "2026-01-01"\n[assets]\ndirectory = "public"\n'


def _site(folder: Path, port: int, target: str) -> None:
    (folder / "public").mkdir()
    for name, size in (("small.css", _SMALL_BYTES), ("large.bin", _LARGE_BYTES)):
        (folder / "public" / name).write_bytes(random.Random(1).randbytes(size))
    (folder / "wrangler.toml").write_text(_CONFIG)


def _like(server: Server, command: tuple[str, ...] | None = None, name: str = "") -> Server:
    return replace(
        server, name=name or server.name, command=command or server.command, prepare=_site, hello=None, proxy=None,
        idle=None, health="/small.css",
    )  # fmt: skip


OURS = _like(servers.OURS)
STATIC_FILES = _like(servers.STARLETTE, (
    sys.executable, "-m", "uvicorn", "--app-dir", str(HERE / "peers"), "static:application", "--port", "{port}",
    "--no-access-log", "--log-level", "warning",
), "Starlette StaticFiles")  # fmt: skip
MINIFLARE = _like(servers.MINIFLARE, (
    servers.node(), str(HERE / "peers" / "assets.mjs"), str(servers.NODE / "node_modules"), "{port}", "{folder}",
), "miniflare")  # fmt: skip
WRANGLER = _like(servers.WRANGLER, name="wrangler dev")
ALL = (OURS, STATIC_FILES, MINIFLARE, WRANGLER)


def small(server: Server, running: Running, length: Length) -> Numbers:
    one = load.hello(running.port, 1, length.seconds / 2, running.cpu, "/small.css")
    many = load.hello(running.port, 64, length.seconds, running.cpu, "/small.css")
    return {
        "req/s": many["requests"] / many["elapsed_us"] * 1e6,
        "CPU/request µs": per(many, "requests"),
        "p50 at 1 µs": one["p50"],
        "p99 at 64 ms": many["p99"] / 1000,
    }


def large(server: Server, running: Running, length: Length) -> Numbers:
    many = load.hello(running.port, 4, length.seconds, running.cpu, "/large.bin")
    return {
        "MB/s": many["bytes"] / many["elapsed_us"],
        "CPU/MB µs": many["server_s"] * 1e12 / many["bytes"],
        "load busy %": 100 * many["load_busy"],
    }
