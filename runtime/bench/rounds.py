"""The measurement: every round, every number of streams, every target, back and forth."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from statistics import median

import msgspec

from runtime.bench.job import FIGURES, Job, WindowResult
from runtime.bench.target import Target
from runtime.errors import Fault, UserError

_GENERATOR_GRACE_S = 60.0  # the generator may take beyond its window
_MAX_LOAD_CPU, _MAX_LAG_MS = 0.8, 5.0  # share of a CPU; from here on the load itself is in doubt


class Plan(msgspec.Struct, frozen=True):
    streams: tuple[int, ...]
    seconds: float
    rounds: int
    warm: float
    cpu: int | None = None  # the load's


class Row(msgspec.Struct):
    """One target at one number of streams, round by round."""

    target: str
    streams: int
    rounds: list[WindowResult] = []

    def values(self, key: str) -> list[float]:
        return [result.figures[key] for result in self.rounds if key in result.figures]

    def median(self, key: str) -> float | None:
        values = self.values(key)
        return median(values) if values else None

    def warnings(self) -> list[str]:
        """Why these figures may not be the server's."""
        where, warnings = f"{self.target}, {self.streams} streams", []
        for reason in dict.fromkeys(reason for result in self.rounds for reason in result.failed):
            count = sum(result.failed.get(reason, 0) for result in self.rounds)
            warnings.append(f"{where}: {count} requests failed: {reason}")
        if not any(result.figures for result in self.rounds):
            warnings.append(f"{where}: nothing was answered in a whole window; try a longer --duration")
        busy, lag = max(result.load_cpu for result in self.rounds), max(result.load_lag_ms for result in self.rounds)
        if busy > _MAX_LOAD_CPU:
            warnings.append(f"{where}: the load generator used {busy:.0%} of a CPU: the figures may be its own limit")
        elif lag > _MAX_LAG_MS:
            warnings.append(f"{where}: the load generator woke {lag:.0f} ms late at p99: the machine is too busy")
        return warnings


Log = Callable[[str], None]
ExtraFigures = Callable[[], AbstractContextManager[dict[str, float]]]


async def measure(
    targets: Sequence[Target], plan: Plan, rows: dict[tuple[str, int], Row], log: Log, extra: ExtraFigures | None = None
) -> None:
    """Fills ``rows``, which is worth showing at any time, also when this is cancelled. What ``extra`` yields around
    a window has figures of its own to add once it is over."""
    for number in range(plan.rounds + 1):
        warming = number == 0
        if warming and not plan.warm:
            continue
        for streams in plan.streams:
            for target in targets if number % 2 else reversed(targets):
                with extra() if extra else nullcontext(dict[str, float]()) as extra_figures:
                    result = await window(target, streams, plan.warm if warming else plan.seconds, plan.cpu)
                result = msgspec.structs.replace(result, figures={**result.figures, **extra_figures})
                if not warming:
                    rows.setdefault((target.name, streams), Row(target.name, streams)).rounds.append(result)
                log(_line("warm-up" if warming else f"round {number}/{plan.rounds}", target, streams, result))


def _line(when: str, target: Target, streams: int, result: WindowResult) -> str:
    figures = [
        f"{result.figures[key]:,.4g} {heading}" for key, (heading, _) in FIGURES.items() if key in result.figures
    ]
    return f"{when:12} {target.name:16} {streams:5} streams  {', '.join(figures) or 'nothing was answered'}"


async def window(target: Target, streams: int, seconds: float, cpu: int | None = None) -> WindowResult:
    """One window of load, from a process of its own."""
    job = Job(target.url, target.method, list(target.headers), target.body, streams, seconds, cpu)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.bench.generator", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)  # fmt: skip
    try:
        async with asyncio.timeout(seconds + _GENERATOR_GRACE_S):
            stdout, stderr = await process.communicate(msgspec.json.encode(job))
    except TimeoutError:
        raise Fault(f"the load generator did not end within {seconds + _GENERATOR_GRACE_S:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        said = stderr.decode(errors="replace")[-500:].strip()
        remedy = f"Does it answer?  curl -i {target.url}\nIf so, ask it for less:  --streams 1"
        raise UserError(said, where=target.name, remedy=remedy)
    return msgspec.json.decode(stdout, type=WindowResult)
