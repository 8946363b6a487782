"""What calls cost: to another worker, to a Durable Object with a durable write, to a queue; beside miniflare and
``wrangler dev``."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import load, servers
from bench.bindings import ask, over_empty
from bench.measures import Length, Numbers, per
from bench.running import HERE, Running

_COUNTS, _QUEUED = 50, 100  # of one request, as in the workers
_TIMEOUT_S = 1  # of a batch
_TABLES = f"""
[[services]]
binding = "OTHER"
service = "called"

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter", "Room"]

[[queues.producers]]
binding = "QUEUE"
queue = "bench"

[[queues.consumers]]
queue = "bench"
max_batch_size = 100
max_batch_timeout = {_TIMEOUT_S}
"""
_BOTH = ("-c", "calls/wrangler.toml", "-c", "called/wrangler.toml")


def _python(folder: Path, port: int, target: str) -> None:
    _written(folder, HERE / "workers", ".py")


def _javascript(folder: Path, port: int, target: str) -> None:
    _written(folder, HERE / "peers", ".js")


def _written(folder: Path, scripts: Path, suffix: str) -> None:
    for name, tables in (("calls", _TABLES), ("called", "")):
        (folder / name).mkdir()
        shutil.copy(scripts / f"{name}{suffix}", folder / name / f"worker{suffix}")
        head = f'name = "{name}"\nmain = "worker{suffix}"\ncompatibility_date = "2026-01-01"\n'
        (folder / name / "wrangler.toml").write_text(head + tables)


OURS = replace(servers.OURS, prepare=_python, proxy=None, idle=None, command=servers.pilot(*_BOTH))
MINIFLARE = replace(servers.MINIFLARE, proxy=None, command=(
    servers.node(), str(HERE / "peers" / "calls.mjs"), str(servers.NODE / "node_modules"), "{port}", "{folder}",
))  # fmt: skip
WRANGLER = replace(servers.WRANGLER, prepare=_javascript, proxy=None, command=(*servers.WRANGLER.command, *_BOTH))
ALL = (OURS, MINIFLARE, WRANGLER)


def rpc(server: servers.Server, running: Running, length: Length) -> Numbers:
    return over_empty(running, length, "/rpc")


def service(server: servers.Server, running: Running, length: Length) -> Numbers:
    return over_empty(running, length, "/service")


def count(server: servers.Server, running: Running, length: Length) -> Numbers:
    return over_empty(running, length, "/count")


def counts(server: servers.Server, running: Running, length: Length) -> Numbers:
    """As many calls of one object at a time as there are in requests."""
    many = load.hello(running.port, 16, length.seconds, running.cpu, "/counts")
    return {
        "writes/s": _COUNTS * many["requests"] / many["elapsed_us"] * 1e6,
        "CPU/write µs": per(many, "requests") / _COUNTS,
        "p50 of a request ms": many["p50"] / 1000,
    }


def queue(server: servers.Server, running: Running, length: Length) -> Numbers:
    """One message at a time waits for its batch's timeout; a hundred at a time fill batches."""
    late = []
    for _ in range(length.repeats):
        ask(running, "/queue/begin")
        ask(running, "/queue/send")
        late += _handled(running, 1)
    ask(running, "/queue/begin")
    rounds, before, began = max(10, int(20 * length.seconds)), running.cpu(), time.perf_counter()
    for _ in range(rounds):
        ask(running, "/queue/batch")
    _handled(running, rounds * _QUEUED)
    took = time.perf_counter() - began
    return {
        "beyond the timeout p50 ms": median(late) - 1000 * _TIMEOUT_S,
        "messages/s": rounds * _QUEUED / took,
        "CPU/message µs": (running.cpu() - before) / rounds / _QUEUED * 1e6,
    }


def _handled(running: Running, count: int, within: float = 60) -> list[float]:
    """Milliseconds from send to handler, of the first of so many messages."""
    end = time.monotonic() + within
    while (found := _get(running, "/queue/handled"))[0] < count:
        if time.monotonic() > end:
            raise load.LoadError(f"{found[0]:g} of {count} messages were handled within {within:g} s")
        time.sleep(0.02)
    return found[1:]


def _get(running: Running, path: str) -> list[float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=30) as answer:
        found: list[float] = json.load(answer)
    return found
