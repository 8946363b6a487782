"""The measurement: every round, every number of streams, every target, back and forth."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from statistics import median

import msgspec

from runtime.bench.job import FIGURES, Found, Job
from runtime.bench.target import Target
from runtime.errors import Fault, UserError

_OVERTIME = 60.0  # seconds the generator may take beyond its window
_BUSY, _LATE = 0.8, 5.0  # share of a CPU, milliseconds: from here on the load itself is in doubt


@dataclass(frozen=True)
class Plan:
    streams: tuple[int, ...]
    seconds: float
    rounds: int
    warm: float
    cpu: int | None = None  # the load's


@dataclass
class Row:
    """One target at one number of streams, round by round."""

    target: str
    streams: int
    rounds: list[Found] = field(default_factory=list)

    def values(self, key: str) -> list[float]:
        return [found.figures[key] for found in self.rounds if key in found.figures]

    def median(self, key: str) -> float | None:
        values = self.values(key)
        return median(values) if values else None

    def warnings(self) -> list[str]:
        """Why these figures may not be the server's."""
        where, remarks = f"{self.target}, {self.streams} streams", []
        for reason in dict.fromkeys(reason for found in self.rounds for reason in found.failed):
            count = sum(found.failed.get(reason, 0) for found in self.rounds)
            remarks.append(f"{where}: {count} requests failed: {reason}")
        if not any(found.figures for found in self.rounds):
            remarks.append(f"{where}: nothing was answered in a whole window; try a longer --duration")
        busy, lag = max(found.load_cpu for found in self.rounds), max(found.load_lag_ms for found in self.rounds)
        if busy > _BUSY:
            remarks.append(f"{where}: the load generator used {busy:.0%} of a CPU: the figures may be its own limit")
        elif lag > _LATE:
            remarks.append(f"{where}: the load generator woke {lag:.0f} ms late at p99: the machine is too busy")
        return remarks


Say = Callable[[str], None]
Beside = Callable[[], AbstractContextManager[dict[str, float]]]


async def measure(
    targets: Sequence[Target], plan: Plan, rows: dict[tuple[str, int], Row], say: Say, beside: Beside | None = None
) -> None:
    """Fills ``rows``, which is worth showing at any time, also when this is cancelled. What ``beside`` yields around
    a window has figures of its own to add once it is over."""
    for number in range(plan.rounds + 1):
        warming = number == 0
        if warming and not plan.warm:
            continue
        for streams in plan.streams:
            for target in targets if number % 2 else reversed(targets):
                with beside() if beside else nullcontext(dict[str, float]()) as more:
                    found = await window(target, streams, plan.warm if warming else plan.seconds, plan.cpu)
                found = msgspec.structs.replace(found, figures={**found.figures, **more})
                if not warming:
                    rows.setdefault((target.name, streams), Row(target.name, streams)).rounds.append(found)
                say(_line("warm-up" if warming else f"round {number}/{plan.rounds}", target, streams, found))


def _line(when: str, target: Target, streams: int, found: Found) -> str:
    shown = [f"{found.figures[key]:,.4g} {heading}" for key, (heading, _) in FIGURES.items() if key in found.figures]
    return f"{when:12} {target.name:16} {streams:5} streams  {', '.join(shown) or 'nothing was answered'}"


async def window(target: Target, streams: int, seconds: float, cpu: int | None = None) -> Found:
    """One window of load, from a process of its own."""
    job = Job(target.url, target.method, list(target.headers), target.body, streams, seconds, cpu)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.bench.generator", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)  # fmt: skip
    try:
        async with asyncio.timeout(seconds + _OVERTIME):
            out, complaint = await process.communicate(msgspec.json.encode(job))
    except TimeoutError:
        raise Fault(f"the load generator did not end within {seconds + _OVERTIME:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        raise UserError(complaint.decode(errors="replace")[-500:].strip(), where=target.name)
    return msgspec.json.decode(out, type=Found)
