"""What a message over a WebSocket costs, one that goes to everybody, and a socket at rest; beside uvicorn with
``websockets``, and miniflare."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from bench import calls, load, machine, servers
from bench.measures import Length, Numbers, per
from bench.running import Running, Server

EVERYBODY, IDLE = 256, 10_000
_WARM_S = 0.5
UVICORN = replace(
    servers.UVICORN, name="uvicorn, websockets", proxy=None, idle=None,
    command=(*servers.uvicorn("sockets:application"), "--ws", "websockets"),
)  # fmt: skip
ALL = (calls.OURS, UVICORN, calls.MINIFLARE)
TO_ALL = (calls.OURS, UVICORN)  # a worker of workerd has no sockets of other requests
KEPT = (calls.OURS, calls.MINIFLARE)


def echo(server: Server, running: Running, length: Length) -> Numbers:
    one = load.sockets(running.cpu, "echo", running.port, "/echo", 1, _WARM_S, length.seconds)
    many = load.sockets(running.cpu, "echo", running.port, "/echo", 64, _WARM_S, length.seconds)
    return {
        "p50 at 1 µs": one["p50"],
        "CPU/message at 1 µs": per(one, "requests"),
        "CPU/message at 64 µs": per(many, "requests"),
        "messages/s at 64": many["requests"] / many["elapsed_us"] * 1e6,
        "load busy %": 100 * many["load_busy"],
    }


def broadcast(server: Server, running: Running, length: Length) -> Numbers:
    result = load.sockets(running.cpu, "broadcast", running.port, "/broadcast", EVERYBODY, _WARM_S, length.seconds)
    return {
        "until all have it p50 ms": result["p50"] / 1000,
        "p99 ms": result["p99"] / 1000,
        "CPU/delivery µs": per(result, "requests") / EVERYBODY,
        "load busy %": 100 * result["load_busy"],
    }


def idle(server: Server, length: Length) -> Numbers:
    """Sockets that an object keeps, hibernating, and of which nobody says anything."""
    with server.run() as running:
        with_few = _rest(running, 100)
        with_all = _rest(running, IDLE)
        return {"KB/socket": (with_all - with_few) * 1000 / (IDLE - 100), "PSS MB": with_all}


def _rest(running: Running, count: int) -> float:
    """MB of the server's while so many are open."""
    process = subprocess.Popen(
        [sys.executable, str(load.SOCKETS), "idle", str(running.port), "/room", str(count)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=machine.prepare(machine.LOAD))  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "open":
            raise load.LoadError(f"{count} sockets could not be opened")
        machine.wait_until_idle()
        return machine.pss(running.process.pid)
    finally:
        process.kill()
        process.communicate()
