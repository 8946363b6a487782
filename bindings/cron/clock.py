"""The crons of the workers that are served here: which are due, and how a run of one goes.

A minute that passes while nobody is here, or while the machine sleeps, is left out: nothing is made up for afterwards.
A run that is not over when it is due again goes on alone: the next one is left out, and said to be. Different crons,
and different workers, know nothing of each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bindings.base import Event, ProductContext
from bindings.schedule.expression import BadExpression, Expression, parse
from bindings.storage import clock as calendar
from runtime.errors import ScriptError, UserError

_LOOK_S = 15.0  # seconds between two looks at the clock, which may be set, or stand still while the machine sleeps
_LATE_S = 0.002  # seconds into a minute: no timer is to be early
MAX_CRONS = 250  # of one worker

Runs = Mapping[str, Sequence[str]]  # worker → its expressions


class Ran(NamedTuple):
    """``outcome``: ``ok`` or ``exception``."""

    outcome: str
    no_retry: bool

    def shown(self) -> dict[str, object]:
        return {"outcome": self.outcome, "noRetry": self.no_retry}


class Clock:
    """``local``: of the workers whose configuration is a file here, by name; a host keeps the others'."""

    def __init__(self, context: ProductContext) -> None:
        self._context, self.local = context, dict[str, Sequence[str]]()
        self._files: dict[Path, tuple[str, Sequence[str]]] = {}  # the worker's name, which may change, and its own
        self.ticking = context.on_host  # by the clock
        self.last: dict[tuple[str, str], str] = {}  # (worker, cron) → how its last run by the clock went
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._last = _minute()
        calendar.watch(self)

    async def clock_moved(self) -> None:
        """Each that was due in between, one after the other, whether they go by the clock here or not."""
        last, self._last = self._last, _minute()
        for minute in range(last + 1, self._last + 1):
            for worker, cron in self._matching(minute):
                await self._run(worker, cron, minute * 60_000)

    def serve(self, file: Path, worker: str, crons: Sequence[str]) -> None:
        """From now on, as this configuration says."""
        self._files[file] = worker, crons
        self.local = dict(self._files.values())

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    async def aclose(self) -> None:
        tasks = [task for task in (self._task, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def crons(self) -> Runs:
        """Of every worker."""
        return {**self._kept(), **self.local}

    async def run(self, worker: str, cron: str, at_ms: int) -> Ran:
        """One run, to its end; it raises nothing."""
        began, observer = time.monotonic(), self._context.observer
        about = {"cron": cron, "scheduledTime": at_ms}
        event = Event("scheduled", "bindings.cron.controller:ScheduledController", about, about=about)
        try:
            ran = Ran("ok", await self._context.dispatch(worker, event) is True)
        except UserError as error:
            ran = Ran("exception", False)
            if isinstance(error, ScriptError):
                observer.script_error(error, worker)
            else:
                observer.error(str(error), worker)
        observer.note(f"{self._named(worker, cron)} {ran.outcome} {(time.monotonic() - began) * 1000:.0f}ms")
        return ran

    async def _watch(self) -> None:
        self._last = _minute()
        while True:
            await asyncio.sleep(min(60 - calendar.now() % 60 + _LATE_S, _LOOK_S))
            now, last = _minute(), self._last
            if now == last + 1:
                self._tick(now)
            elif now > last or now < last - 1:
                self._jumped(last, now)
                if now > last:
                    self._tick(now)
            else:
                continue  # the same minute, or the clock was set back a little: none runs twice
            self._last = now

    def _jumped(self, last: int, now: int) -> None:
        if self.ticking and any(self.crons().values()):
            what = f"from {_shown(last)} to {_shown(now)}"
            self._context.observer.warn(f"the clock went {what}: crons that were due in between are left out")

    def _tick(self, minute: int) -> None:
        if self.ticking:
            for worker, cron in self._matching(minute):
                self._due(worker, cron, minute * 60_000)

    def _matching(self, minute: int) -> Iterator[tuple[str, str]]:
        at = datetime.fromtimestamp(minute * 60, UTC)
        for worker, crons in self.crons().items():
            yield from ((worker, cron.text) for cron in expressions(crons) if cron.matches(at))

    def _due(self, worker: str, cron: str, at_ms: int) -> None:
        key = worker, cron
        if key in self._running:
            return self._context.observer.warn(f"{self._named(worker, cron)} left out: the run before is not over")
        task = self._running[key] = asyncio.create_task(self._run(worker, cron, at_ms))
        task.add_done_callback(lambda _: self._running.pop(key))

    async def _run(self, worker: str, cron: str, at_ms: int) -> None:
        try:
            self.last[worker, cron] = (await self.run(worker, cron, at_ms)).outcome
        except Exception as error:  # ours: the next run is another matter
            self._context.observer.fault(error)

    def _kept(self) -> Runs:
        registry = self._context.registry
        if registry is None:
            return {}
        return {name: crons_in((registry.settings(name) or {}).get("schedules")) for name in registry.workers()}

    def _named(self, worker: str, cron: str) -> str:
        return f'{worker}: cron "{cron}"' if self._context.on_host else f'cron "{cron}"'


def crons_in(schedules: object) -> list[str]:
    """The texts in ``[{"cron": ...}]``, which may be anything; each once."""
    found = [item.get("cron") for item in schedules if isinstance(item, dict)] if isinstance(schedules, list) else []
    return list(dict.fromkeys(text for text in found if isinstance(text, str)))


def expressions(crons: Iterable[str]) -> Iterator[Expression]:
    """Those that can be read."""
    for text in crons:
        with suppress(BadExpression):
            yield parse(text)


def clock(context: ProductContext) -> Clock:
    """The supervisor's."""
    found: Any = context.shared.get("triggers")
    if found is None:
        found = context.shared["triggers"] = Clock(context)
    assert isinstance(found, Clock)
    return found


def _minute() -> int:
    return int(calendar.now() // 60)


def _shown(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).isoformat(" ", "minutes")


__all__ = ["MAX_CRONS", "Clock", "Ran", "clock", "crons_in", "expressions"]
