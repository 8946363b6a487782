"""What a stream costs while nothing happens on it."""

from __future__ import annotations

import time

from bench import load, machine
from bench.measures import Length, Numbers
from bench.running import Server

STREAMS = 2000


def idle(server: Server, length: Length) -> Numbers:
    """A fresh server's memory before and with all streams open, each after its first event; then its CPU time. With the
    echo engine it is a model's stream, passed through; else the worker's own."""
    assert server.idle is not None
    with server.run() as running:
        load.hello(running.port, 64, 1, running.cpu)  # what the first requests allocate is not the streams',
        load.stream(running.port, 1, 1, running.cpu, server.idle, None, 1, quiet=True)  # nor is a model's process
        used = running.cpu()
        time.sleep(length.seconds)
        rest, before, held = running.cpu() - used, machine.pss(running.process.pid), list[float]()

        def cpu() -> float:
            if not held:
                held.append(machine.pss(running.process.pid))
            return running.cpu()

        found = load.stream(running.port, STREAMS, length.seconds, cpu, server.idle, None, 1, quiet=True)
    return {
        "KB/stream": (held[0] - before) * 1000 / STREAMS,
        "CPU %": 100e6 * found["server_s"] / found["elapsed_us"],
        "CPU % without them": 100 * rest / length.seconds,
        "PSS MB": held[0],
    }
