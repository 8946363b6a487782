"""Streams for a long time, their clients leaving at random: is anything left behind?"""

from __future__ import annotations

import time
from collections import Counter
from statistics import linear_regression

from bench import load, machine
from bench.measures import STREAMS, Length, Numbers
from bench.running import Running, Server

MEAN_LIFE_S = 2.0  # until a client leaves, on average
SAMPLES = 60


def soak(server: Server, running: Running, length: Length) -> Numbers:
    """Allocated memory over time, without EngineCore's; at the end the requests that live in EngineCore, where that can
    be told, less the open streams. The growth is the slope over the second half."""
    assert server.tokens is not None
    memory, core = list[tuple[float, float]](), running.core()
    with load.soak(running.port, STREAMS, MEAN_LIFE_S, length.soak, server.tokens, server.body) as churn:
        began = time.monotonic()
        while not churn.wait_held(max(0.5, length.soak / SAMPLES)):
            memory.append((time.monotonic() - began, machine.pss(running.process.pid, core, "Pss_Anon")))
        time.sleep(load.HELD_S / 2)  # the last to leave have been noticed
        live = _live(running)
        result = churn.result()
    return {
        "growth MB/min": growth(memory),
        **_course(memory),
        "left by client": result["requests"],
        "broken": result["broken"],
        "open at the end": result["open"],
        **({"live, less open": live - result["open"], "live after all left": _settled(running)} if core else {}),
    }


def growth(memory: list[tuple[float, float]]) -> float:
    """MB per minute in the second half: what the first requests allocate is no growth."""
    later = memory[len(memory) // 2 :]
    return linear_regression(*zip(*later, strict=True)).slope * 60 if len(later) > 1 else 0.0


def _course(memory: list[tuple[float, float]]) -> Numbers:
    return {f"MB at {share} %": memory[(len(memory) - 1) * share // 100][1] for share in (0, 25, 50, 75, 100)}


def _live(running: Running) -> int:
    """Requests that EngineCore was given and has neither ended nor been told to leave."""
    words = Counter(line.split()[0] for line in running.paced_log())
    return words["add"] - words["end"] - words["abort"]


def _settled(running: Running, within: float = 30.0) -> int:
    end = time.monotonic() + within
    while _live(running) and time.monotonic() < end:
        time.sleep(0.05)
    return _live(running)
