"""What the bindings that keep things cost, beside miniflare and ``wrangler dev`` with their JavaScript twin.

A row is the same work for each: one request, one operation, of 1 KiB, on disk.
"""

from __future__ import annotations

import shutil
import sqlite3
import urllib.request
from dataclasses import replace
from pathlib import Path

from bench import load, servers
from bench.measures import Length, Numbers, per
from bench.running import HERE, Prepare, Running, Server

_PUTS = 50  # of one request, as in the workers
_TABLES = """
[[kv_namespaces]]
binding = "KV"
id = "bench"

[[d1_databases]]
binding = "DB"
database_name = "bench"
database_id = "bench"
"""


def _python(folder: Path, port: int, target: str) -> None:
    shutil.copy(HERE / "workers" / "bindings.py", folder / "worker.py")
    (folder / "wrangler.toml").write_text(f'name = "bench"\nmain = "worker.py"\n{_TABLES}')


def _javascript(folder: Path, port: int, target: str) -> None:
    shutil.copy(HERE / "peers" / "bindings.js", folder)
    head = 'name = "bench"\nmain = "bindings.js"\ncompatibility_date = "2026-01-01"\n'
    (folder / "wrangler.toml").write_text(head + _TABLES)


def _like(server: Server, prepare: Prepare | None, command: tuple[str, ...] | None = None) -> Server:
    return replace(server, prepare=prepare, command=command or server.command, proxy=None, idle=None)


OURS = _like(servers.OURS, _python)
MINIFLARE = _like(servers.MINIFLARE, None, (
    servers.node(), str(HERE / "peers" / "bindings.mjs"), str(servers.NODE / "node_modules"), "{port}", "{folder}",
))  # fmt: skip
WRANGLER = _like(servers.WRANGLER, _javascript)
ALL = (OURS, MINIFLARE, WRANGLER)
SQLITE = replace(
    _like(servers.UVICORN, None, servers.uvicorn("sqlite_in_process:application")),
    name="sqlite3, in process",
    version=sqlite3.sqlite_version,
)
WITH_SQLITE = (*ALL, SQLITE)


def kv_get(server: Server, running: Running, length: Length) -> Numbers:
    """A value that was just written, again and again."""
    ask(running, "/kv/begin")
    return over_empty(running, length, "/kv/get")


def kv_put(server: Server, running: Running, length: Length) -> Numbers:
    return over_empty(running, length, "/kv/put")


def kv_puts(server: Server, running: Running, length: Length) -> Numbers:
    many = load.hello(running.port, 64, length.seconds, running.cpu, "/kv/puts")
    return {
        "puts/s": _PUTS * many["requests"] / many["elapsed_us"] * 1e6,
        "CPU/put µs": per(many, "requests") / _PUTS,
        "p50 of a request ms": many["p50"] / 1000,
    }


def d1_insert(server: Server, running: Running, length: Length) -> Numbers:
    return _d1(running, length, "/d1/insert")


def d1_select(server: Server, running: Running, length: Length) -> Numbers:
    return _d1(running, length, "/d1/select")


def d1_hundred(server: Server, running: Running, length: Length) -> Numbers:
    return _d1(running, length, "/d1/hundred")


def _d1(running: Running, length: Length, path: str) -> Numbers:
    ask(running, "/d1/begin")
    return over_empty(running, length, path)


def over_empty(running: Running, length: Length, path: str) -> Numbers:
    """And what is left of it without what any request costs."""
    empty = load.hello(running.port, 1, length.seconds / 2, running.cpu)
    one = load.hello(running.port, 1, length.seconds, running.cpu, path)
    many = load.hello(running.port, 64, length.seconds, running.cpu, path)
    return {
        "p50 at 1 µs": one["p50"],
        "p50 over empty µs": one["p50"] - empty["p50"],
        "CPU/request µs": per(many, "requests"),
        "CPU over empty µs": per(one, "requests") - per(empty, "requests"),
        "req/s at 64": many["requests"] / many["elapsed_us"] * 1e6,
        "p50 at 64 ms": many["p50"] / 1000,
    }


def ask(running: Running, path: str, within: float = 30) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=within) as answer:
        answer.read()
