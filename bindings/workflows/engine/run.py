"""One run of an instance, as the supervisor holds it: what its steps ask, and what becomes of them.

It *works* while attempts of steps go on in its process, and *waits* where only time or an event can bring it on. When
it has done nothing but wait for a while it is let go, or at once when the version that runs it is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, TypeVar

from bindings.workflows import errors
from bindings.workflows.durations import MAX_MS, StepConfig, milliseconds, pause_of, step_config
from bindings.workflows.engine import outcomes, rows
from bindings.workflows.engine.book import Key, StepBook
from bindings.workflows.engine.life import Attempt, Life
from bindings.workflows.engine.rows import DO, PAUSING, SLEEP, WAIT, Instance, Step
from bindings.workflows.engine.store import MAX_BYTES, Store

T = TypeVar("T")
_SHOWN_AFTER_S = 0.1  # seconds after which a step that runs is written down, for those who look
_MAX_NAP_S = 3600.0
_MAX_ERROR = 64 * 1024  # characters


class Run(Life):
    """``token``: what its process names it by; ``begun``: its instance as it was then; ``steps``: it may have."""

    def __init__(self, store: Store, begun: Instance, steps: int) -> None:
        super().__init__()
        self.token, self.begun = secrets.token_hex(16), begun
        self._store, self._limit = store, steps
        self._book: StepBook
        self._pausing = False

    async def begin(self) -> None:
        """Learn which steps there are. Raises Gone."""
        known = await self._store.database.do(outcomes.guarded(self.begun, outcomes.begin))
        self._book = StepBook(self.begun.number, self._limit, known)

    async def call(self, method: str, args: list[Any]) -> object:
        """One of its process. Raises CallError."""
        if method == "watch":
            await asyncio.shield(self.over)
            return self.stopped or ""
        if (serve := _METHODS.get(method)) is None:
            raise errors.fatal(f"no such call: {method}")
        self._check()
        self._asked += 1
        self._settle()
        try:
            return await serve(self, *args)
        except TypeError as error:  # not what the worker's half sends
            raise errors.fatal(str(error)) from None
        finally:
            self._asked -= 1
            self._settle()

    # What its steps ask

    async def do(self, name: str, given: object) -> object:
        """["done", result], ["failed", error], or ["run", which of that name, attempt, config, ms it may take]."""
        key, step = await self._step(DO, name)
        try:
            config = step_config(given)
        except ValueError:
            raise errors.bad_step_config(name) from None
        step = step or self._book.add(key, {"config": config.shown, "secret": config.secret})
        return await self._tried(step, config)

    async def finish(self, name: str, nth: int, content: bytes) -> object:
        """An attempt has this result. None, or ["failed", error]."""
        attempt = self._taken(name, nth)
        if not isinstance(content, bytes) or len(content) > MAX_BYTES:
            return await self._failed(attempt, errors.output_too_large(f"{name}-{nth}"), final=True)
        done = attempt.step._replace(status="done", result=content, ended=rows.now())
        kept = await self._write(lambda connection, _: outcomes.finish_step(connection, done))
        await self._pause_if_wanted()
        return None if kept else ["failed", errors.storage_exceeded()]

    async def fail(self, name: str, nth: int, error: dict[str, object], final: bool) -> object:
        """An attempt has failed. As ``do``: the next attempt, once it is due."""
        named = {key: str(error.get(key) or "")[:_MAX_ERROR] for key in ("name", "message", "stack")}
        return await self._failed(self._taken(name, nth), named, bool(final))

    async def sleep(self, name: str, duration: object) -> None:
        ms = milliseconds(duration)
        if ms > MAX_MS:
            raise errors.fatal(f'The step "{str(name)[:300]}" sleeps for more than 365 days')
        await self._sleep(name, rows.now() + pause_of(duration))

    async def sleep_until(self, name: str, moment: int) -> None:
        await self._sleep(name, int(moment), past=False)

    async def wait(self, name: str, type: str, timeout: object) -> object:
        """["done", event] or ["failed", error]."""
        key, step = await self._step(WAIT, name)
        step = step or await self._waits(key, type, pause_of(timeout))
        if step.status == "waiting":
            await self._until(step)
            step = await self._come_about(step)
        return ["done", step.result] if step.status == "done" else ["failed", step.failure]

    # What people ask

    async def look(self) -> None:
        """At what has been written of its instance meanwhile."""
        found = await self._store.database.read(lambda connection: rows.state(connection, self.begun.id))
        if found is None or found.number != self.begun.number:
            return self.stop("User called delete")
        if found.generation != self.begun.generation:
            return self.stop("User called restart")
        if found.has_ended:
            return self.stop("User called terminate")
        if found.status == "paused":
            return self.stop("User called pause")
        self._pausing = found.status == PAUSING
        await self._pause_if_wanted()
        self._fire()

    # Steps

    async def _step(self, kind: str, name: str) -> tuple[Key, Step | None]:
        """The next one of that name, and what is known of it."""
        key = self._book.next(kind, name)
        if not self._book.has(key):
            return key, None
        return key, await self._store.database.read(lambda connection: rows.step(connection, self.begun.number, *key))

    async def _tried(self, step: Step, config: StepConfig) -> object:
        if step.status == "done":
            return ["done", step.result]
        if step.status == "failed":
            return ["failed", step.failure]
        if step.due is not None:
            await self._until(step)
        await self._pause_if_wanted()
        while self._pausing:  # until the others are at their end
            await asyncio.wait({self._signal})
            self._check()
        step = step._replace(status="running", due=None, began=rows.now())
        self.working[DO, step.name, step.nth] = Attempt(step, config)
        self._loop.call_later(_SHOWN_AFTER_S, self._show, step)
        return ["run", step.nth, step.failed + step.lost + 1, config.shown, config.timeout]

    def _show(self, step: Step) -> None:
        attempt = self.working.get((DO, step.name, step.nth))
        if attempt is not None and attempt.step is step and self.stopped is None:
            writing = self._store.database.do(
                outcomes.guarded(self.begun, lambda connection, _: rows.put(connection, step))
            )
            writing.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _taken(self, name: str, nth: int) -> Attempt:
        attempt = self.working.pop((DO, name, nth), None)
        if attempt is None:
            raise errors.fatal(f'no attempt of the step "{name}" goes on')
        return attempt

    async def _failed(self, attempt: Attempt, error: errors.Failure, final: bool) -> object:
        at, step, config = rows.now(), attempt.step, attempt.config
        step = step._replace(failed=step.failed + 1)
        if final or step.failed > config.limit:
            step = step._replace(status="failed", error=outcomes.as_json(error), ended=at)
        else:
            step = step._replace(status="waiting", due=at + config.pause_after(step.failed))
        await self._write(lambda connection, _: outcomes.fail_attempt(connection, step, error, at))
        await self._pause_if_wanted()
        return await self._tried(step, config)

    async def _sleep(self, name: str, due: int, past: bool = True) -> None:
        key, step = await self._step(SLEEP, name)
        if step is None:
            if due < rows.now() and not past:
                raise errors.WorkflowError(errors.SLEEP_PAST)
            asked = step = self._book.add(key, {"until": due})._replace(status="waiting", due=due)
            await self._write(lambda connection, _: rows.put(connection, asked))
        if step.status == "waiting":
            await self._until(step)
            done = step._replace(status="done", due=None, ended=rows.now())
            await self._write(lambda connection, _: rows.put(connection, done))

    async def _waits(self, key: Key, type: object, ms: int) -> Step:
        if not isinstance(type, str):
            raise errors.fatal(f'The step "{key[1]}" waits for an event without a type')
        step = self._book.add(key, {"type": type[:1000], "timeout": ms})
        asked = step._replace(status="waiting", due=step.started + ms)
        return await self._write(lambda connection, _: outcomes.wait_for_event(connection, asked))

    async def _come_about(self, step: Step) -> Step:
        late = errors.timed_out(step.facts["timeout"])
        return await self._write(lambda connection, _: outcomes.give_up_waiting(connection, step, late))

    async def _until(self, step: Step) -> None:
        """It is due, or has come about. Raises CallError: the run is to end."""
        key = step.kind, step.name, step.nth
        self.waiting[key] = step
        self._asked -= 1
        self._settle()
        try:
            while (left := (step.due or 0) - rows.now()) > 0:
                signal = self._signal
                if step.kind == WAIT and await self._has_come(key):
                    return
                self._check()
                await asyncio.wait({signal}, timeout=min(left / 1000, _MAX_NAP_S))
                self._check()
        finally:
            del self.waiting[key]
            self._asked += 1
            self._settle()

    async def _has_come(self, key: Key) -> bool:
        found = await self._store.database.read(lambda connection: rows.step(connection, self.begun.number, *key))
        return found is None or found.status != "waiting"

    # Its end

    async def _write(self, work: Callable[[Connection, Instance], T]) -> T:
        def noted(connection: Connection, found: Instance) -> tuple[T, str]:
            return work(connection, found), found.status

        try:
            result, status = await self._store.database.do(outcomes.guarded(self.begun, noted))
            self._pausing = status == PAUSING  # another process may have written that
            return result
        except outcomes.Gone:
            await self.look()
            self._check()
            raise

    async def _pause_if_wanted(self) -> None:
        if self._pausing and not self.working:
            self._pausing = False
            if await self._store.database.do(outcomes.guarded(self.begun, outcomes.pause)):
                self.stop("User called pause")
        self._check()


_METHODS: dict[str, Callable[..., Any]] = {
    "do": Run.do, "finish": Run.finish, "fail": Run.fail, "sleep": Run.sleep, "sleep_until": Run.sleep_until,
    "wait": Run.wait,
}  # fmt: skip

__all__ = ["Run"]
