"""How each figure is measured. A measurement returns plain numbers by column name."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import load, machine
from bench.running import Running, Server, first_bytes, until

Numbers = dict[str, float]
STREAMS, INTERVAL_MS = 256, 10.0
WARM_UP_S = 1.5  # before a window, once every stream has begun


@dataclass(frozen=True)
class Length:
    """How long to look: seconds per window, repeats of single events."""

    seconds: float
    repeats: int
    soak: float = 60


def hello(server: Server, running: Running, length: Length) -> Numbers:
    many = load.hello(running.port, 64, length.seconds, running.cpu)
    one = load.hello(running.port, 1, length.seconds / 2, running.cpu)
    return {
        "CPU/request µs": per(many, "requests"),
        "req/s": many["requests"] / many["elapsed_us"] * 1e6,
        "p50 at 1 µs": one["p50"],
        "p99 at 64 ms": many["p99"] / 1000,
        "load busy %": 100 * many["load_busy"],
    }


def proxied(server: Server, running: Running, length: Length) -> Numbers:
    assert server.proxy is not None
    result = load.stream(running.port, STREAMS, length.seconds, running.cpu, server.proxy, None, WARM_UP_S)
    return {"CPU/event µs": per(result, "events"), **_course(result)}


def tokens(server: Server, running: Running, length: Length) -> Numbers:
    assert server.tokens is not None
    return _tokens(running, length, server.tokens, server.body)


def tokens_again(server: Server, running: Running, length: Length) -> Numbers:
    return _tokens(running, length, "/again", None)


def _tokens(running: Running, length: Length, path: str, body: str | None) -> Numbers:
    """By token, not by event: a server that cannot keep up writes several tokens as one event."""
    made: list[int] = []

    def cpu() -> float:
        made.append(running.tokens_made())
        return running.cpu()

    result = load.stream(running.port, STREAMS, length.seconds, cpu, path, body, WARM_UP_S)
    tokens = made[-1] - made[0]
    return {
        "CPU/token µs": result["server_s"] / max(1, tokens) * 1e6,
        "tokens/event": tokens / result["events"],
        **_course(result),
    }


def _course(result: dict[str, Any]) -> Numbers:
    return {
        "events/s": result["events"] / result["elapsed_us"] * 1e6,
        "ITL p50 ms": result["p50"] / 1000,
        "ITL p99 ms": result["p99"] / 1000,
        "load busy %": 100 * result["load_busy"],
    }


def first(server: Server, running: Running, length: Length) -> Numbers:
    assert server.tokens is not None
    rounds = max(3, length.repeats // 4)
    one = load.first(running.port, 1, 3 * length.repeats, running.cpu, server.tokens, server.body)
    many = load.first(running.port, 64, rounds, running.cpu, server.tokens, server.body)
    return {
        "TTFT p50 at 64 ms": many["first_p50"] / 1000,
        "TTFT p99 at 64 ms": many["first_p99"] / 1000,
        "TTFT p50 at 1 ms": one["first_p50"] / 1000,
        "CPU/request µs": many["server_s"] / 64 / rounds * 1e6,
    }


def floor(server: Server, running: Running, length: Length) -> Numbers:
    result = _measured_in_process(running, f"stream {STREAMS} {length.seconds}")
    return {"CPU/token µs": per(result, "events"), "tokens/s": result["events"] / result["elapsed_us"] * 1e6}


def first_floor(server: Server, running: Running, length: Length) -> Numbers:
    one = _measured_in_process(running, f"first 1 {3 * length.repeats}")
    many = _measured_in_process(running, f"first 64 {max(3, length.repeats // 4)}")
    return {
        "TTFT p50 at 64 ms": many["first_p50"] / 1000,
        "TTFT p99 at 64 ms": many["first_p99"] / 1000,
        "TTFT p50 at 1 ms": one["first_p50"] / 1000,
    }


def _measured_in_process(running: Running, line: str) -> dict[str, Any]:
    """What ``peers/in_process.py`` measures itself."""
    with socket.create_connection(("127.0.0.1", running.port), 120) as channel:
        channel.sendall(line.encode() + b"\n")
        with channel.makefile() as answer:
            numbers: dict[str, Any] = json.loads(answer.readline())
    return numbers


def launch(server: Server, length: Length) -> Numbers:
    times = []
    for _ in range(max(3, length.repeats // 2)):
        with server.run(ready=False, pinned=False) as running:  # as a person starts it
            times.append(until(running, server.hello or "/", server.patience))
    return {"launch s": median(times), "worst s": max(times)}


def memory(server: Server, running: Running, length: Length) -> Numbers:
    load.hello(running.port, 8, 0.5, running.cpu)
    return {"PSS MB": machine.pss(running.process.pid), "processes": len(machine.family(running.process.pid))}


def save(server: Server, running: Running, length: Length) -> Numbers:
    """From the end of the write to the first answer of the new code."""
    script = running.folder / "project" / ("worker.py" if server.is_ours else "worker.js")
    source, times = script.read_text(), []
    for number in range(2 * length.repeats):
        text = re.sub(r"Hello from \w+", f"Hello from v{number}", source)
        script.write_text(text)
        saved = time.perf_counter()
        while f"v{number}".encode() not in _get(running.port) and time.perf_counter() - saved < 10:
            time.sleep(0.001)
        times.append((time.perf_counter() - saved) * 1000)
        time.sleep(0.1 + 0.013 * (number % 7))
    return {
        "save to answer p50 ms": median(times),
        "p99 ms": sorted(times)[len(times) * 99 // 100],
        "worst ms": max(times),
    }


def _get(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return bytes(answer.read())


def abort(server: Server, running: Running, length: Length) -> Numbers:
    """From the client's closing of its socket to EngineCore's hearing of it; other streams keep running."""
    assert server.tokens is not None
    times = []
    for _ in range(2 * length.repeats):
        before = _aborts(running)
        first_bytes(running.port, server.tokens, server.body)
        left = time.monotonic()
        while len(result := _aborts(running)) <= len(before) and time.monotonic() - left < 5:
            time.sleep(0.002)
        times.append((result[-1] - left) * 1000 if len(result) > len(before) else 5000.0)
    return {"abort p50 ms": median(times), "worst ms": max(times)}


def _aborts(running: Running) -> list[float]:
    return [float(line.split()[2]) for line in running.paced_log() if line.startswith("abort ")]


def per(result: dict[str, Any], what: str) -> float:
    return float(result["server_s"] / max(1, result[what]) * 1e6)
