"""The engine of one workflow: begins what is due, and sees each run to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any

from bindings.base import Binding, Event, ProductContext
from bindings.messages import Undelivered
from bindings.schedule.expression import parse
from bindings.sqlite import StoreError
from bindings.storage import clock
from bindings.workflows.engine import outcomes, rows
from bindings.workflows.engine.rows import Instance
from bindings.workflows.engine.run import Run
from bindings.workflows.engine.store import MAX_BYTES, New, Store, data_version
from bindings.workflows.settings import Terms, WorkflowSettings
from runtime.errors import ScriptError, UserError
from runtime.supervisor.observe.report import Report
from runtime.supervisor.traces.traces import raised

BINDING = ".workflows"
_CLIENT = "bindings.workflows.worker.run:Run"
_POLL_S = 0.5  # seconds between two looks at what another process may have written
_SWEEP_S = 3600.0  # seconds between two looks for what has been kept long enough
_GRACE_S = 2.0  # seconds that the script has to end once it was told to
_CANCEL_S = 5.0
_BROKEN_S = 5.0  # seconds until a database that cannot be used is tried again
_TOLD_FROM = 3  # times in a row: a worker takes a moment to begin
_UNSERVED_MS = 500, 15_000  # until what nobody could begin is tried again: at first, at most
_LATE_S = 0.002  # seconds into a minute: no timer is to be early
_TOO_MANY = 1015  # LimitExceeded: the worker has its hands full


class Engine:
    """``terms`` are as the newest configuration has them."""

    def __init__(
        self, name: str, store: Store, terms: Terms, context: ProductContext, settings: WorkflowSettings
    ) -> None:
        self.name, self._store, self._context = name, store, context
        self._minute = int(clock.now() // 60)
        self.live: dict[str, Run] = {}  # by the instance's id
        self._serving: set[asyncio.Task[None]] = set()
        self._kicked = asyncio.Event()
        self._seen = self._swept = 0.0
        self._unserved = 0  # times in a row
        self._told = ""  # the last reason of that
        self._report = Report(f"WORKFLOW {name}", context.observer.note, "instances")
        self.serve(terms, settings)
        self._task = asyncio.create_task(self._work())
        clock.watch(self)

    async def clock_moved(self) -> None:
        self.kick()

    def kick(self) -> None:
        """Something may be due."""
        self._kicked.set()

    def serve(self, terms: Terms, settings: WorkflowSettings) -> None:
        """A version of its worker is there."""
        self.terms, self._limit_s, self._unserved = terms, settings.workflow_run_limit, 0
        ticks = self._context.on_host if settings.workflow_clock is None else settings.workflow_clock
        self._expressions = [parse(text) for text in terms.crons] if ticks else []
        self.kick()

    async def look(self, id: str | None = None) -> None:
        """Somebody has written of an instance, or of any."""
        runs = list(self.live.values()) if id is None else [run for run in [self.live.get(id)] if run is not None]
        for run in runs:
            with suppress(outcomes.Gone, Exception):
                await run.look()
        self.kick()

    def find(self, token: object) -> Run | None:
        """The run that a process speaks of."""
        return next((run for run in self.live.values() if run.token == token), None)

    async def aclose(self) -> None:
        """What goes on is begun again by the next supervisor."""
        tasks = [self._task, *self._serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._report.close()

    async def _work(self) -> None:
        recovered = False
        while True:
            self._kicked.clear()
            pause: float | None = _POLL_S
            try:
                if self._store.exists and not recovered:
                    await self._store.database.do(rows.recover)
                    recovered = True
                pause = min((pause for pause in (await self._tick(), self._poll_s) if pause is not None), default=None)
                if recovered:
                    pause = min(await self._round(), _SWEEP_S if pause is None else pause)
            except StoreError as error:
                self._context.observer.warn(f"workflow {self.name}: {error}")
                pause = _BROKEN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._kicked.wait()

    @property
    def _poll_s(self) -> float | None:
        return None if self._context.on_host else _POLL_S  # there, nobody else writes

    async def _round(self) -> float:
        """Seconds until the next."""
        await self._see()
        await self._sweep()
        free = self.terms.concurrency - len(self._serving)
        pauses = [_SWEEP_S] if self._poll_s is None else [self._poll_s]
        if free > 0:
            at, most = rows.now(), self.terms.concurrency + len(self.live)
            for found in await self._store.database.read(lambda connection: rows.due(connection, at, most)):
                if found.id not in self.live and free > 0:
                    free -= 1
                    self._begin(found)
            if (next_ := await self._store.database.read(lambda connection: rows.next_due(connection, at))) is not None:
                pauses.append(max(0.0, (next_ - rows.now()) / 1000))
        return min(pauses)

    async def _tick(self) -> float | None:
        """Begin what ``schedules`` say for this minute, unless it has passed already; seconds until the next."""
        if not self._expressions:
            return None
        minute, self._minute = self._minute, int(clock.now() // 60)
        if minute != self._minute:
            at = datetime.fromtimestamp(self._minute * 60, UTC)
            due = [expression for expression in self._expressions if expression.matches(at)]
            batch = [
                New(f"cron-{self._minute}-{number}") for number, _ in enumerate(due)
            ]  # a restart begins none twice
            await self._store.create_all(batch, "cron")
            self.kick()
        return 60 - clock.now() % 60 + _LATE_S

    async def _see(self) -> None:
        """Whether another process has written."""
        if self._poll_s is not None and self.live:
            version = await self._store.database.read(data_version)
            if version != self._seen:
                self._seen = version
                await self.look()

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept >= _SWEEP_S or not self._swept:
            self._swept = time.monotonic()
            success_ms, error_ms = self.terms.success_ms, self.terms.error_ms
            await self._store.database.do(lambda connection: rows.expire(connection, success_ms, error_ms))

    def _begin(self, found: Instance) -> None:
        run = self.live[found.id] = Run(self._store, found, self.terms.steps)
        task = asyncio.create_task(self._serve(run))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, run: Run) -> None:
        """From its beginning to its end, and what comes of it."""
        try:
            try:
                await run.begin()
                write = await self._served(run)
            finally:
                run.end()
                del self.live[run.begun.id]
            if write is not None:
                await self._written(run, write)
        except outcomes.Gone:
            pass  # somebody wants it otherwise
        except StoreError as error:
            self._warn(run, f"cannot be begun: {error}")
        except Exception as error:
            self._context.observer.fault(error)
        finally:
            self.kick()

    async def _written(self, run: Run, write: Callable[[Connection, Instance], Any]) -> None:
        """However long the disk cannot be written. Raises Gone."""
        while True:
            try:
                return await self._store.database.do(outcomes.guarded(run.begun, write))
            except StoreError as error:
                self._warn(run, f"cannot be written: {error}")
                await asyncio.sleep(_BROKEN_S)

    async def _served(self, run: Run) -> Callable[[Connection, Instance], Any] | None:
        """What is to be written at its end."""
        facts = {"entrypoint": self.terms.class_name, "executionModel": "workflow"}
        work = self._context.trace(self.terms.worker, {"rpcMethod": "run"}, self._dispatched(run, facts), facts)
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, run.over}
            await asyncio.wait(either, timeout=self._limit_s, return_when=asyncio.FIRST_COMPLETED)
            if run.stopped is not None:
                await asyncio.wait({task}, timeout=_GRACE_S)
            in_time = task.done() or run.over.done()
        finally:
            task.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=_CANCEL_S)
        if run.stopped is not None:
            _ = task.done() and not task.cancelled() and task.exception()
            return None
        if not in_time:
            return self._lost(run, f"a run took more than {self._limit_s:g} s (workflow_run_limit)")
        return await self._ended(run, task)

    async def _dispatched(self, run: Run, facts: dict[str, Any]) -> object:
        began = time.monotonic()
        outcome = await self._context.dispatch(self.terms.worker, self._event(run))
        match outcome:
            case ["errored", str(what), *_]:
                facts.update(raised(what))
        self._report.batch("outcome" not in facts, 1, time.monotonic() - began)
        return outcome

    async def _ended(self, run: Run, task: asyncio.Future[object]) -> Callable[[Connection, Instance], Any]:
        waits = list(run.waiting.values())
        try:
            outcome = await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return lambda connection, found: outcomes.release(connection, found, waits)
        except Undelivered as error:
            return self._lost(run, str(error)) if error.begun else self._postponed(run, error)
        except ScriptError as error:
            if type(error) is ScriptError or getattr(error, "code", 0) == _TOO_MANY:
                return self._postponed(run, error)
            return self._lost(run, str(error))
        except UserError as error:
            return self._postponed(run, error)
        return self._outcome(run, outcome)

    def _outcome(self, run: Run, outcome: object) -> Callable[[Connection, Instance], Any]:
        """A worker's process says what it likes."""
        self._unserved, self._told = 0, ""
        match outcome:
            case ["complete", bytes() as output] if len(output) <= MAX_BYTES:
                return lambda connection, found: outcomes.end(connection, found, "complete", output, None)
            case ["errored", str(what), str(message)]:
                self._warn(run, f"errored: {what}")
                error = {"name": "Error", "message": message}
            case ["complete", bytes()]:
                error = {"name": "Error", "message": "Workflow output is too large. Maximum allowed size is 1MiB."}
            case _:
                error = {"name": "Error", "message": "the worker's process sent an outcome that is none"}
        return lambda connection, found: outcomes.end(connection, found, "errored", None, error)

    def _lost(self, run: Run, why: str) -> Callable[[Connection, Instance], Any]:
        attempts, waits = [attempt.step for attempt in run.working.values()], list(run.waiting.values())
        if run.left:  # the version was let go: nobody says that the script is to blame
            return lambda connection, found: outcomes.postpone(connection, found, _UNSERVED_MS[0])
        self._warn(run, f"its run was lost: {why}")

        def lose(connection: Connection, found: Instance) -> None:
            outcomes.lose(connection, found, attempts, waits, why)

        return lose

    def _postponed(self, run: Run, error: UserError) -> Callable[[Connection, Instance], Any]:
        """Its worker does not load, or is not there."""
        ms = min(_UNSERVED_MS[0] * 2 ** min(self._unserved, 16), _UNSERVED_MS[1])
        self._unserved += 1
        if self._unserved >= _TOLD_FROM and self._told != (told := str(error)):
            self._told = told
            self._warn(run, f"waits, for its worker cannot run it: {told}")
        return lambda connection, found: outcomes.postpone(connection, found, ms)

    def _warn(self, run: Run, what: str) -> None:
        self._context.observer.warn(f"workflow {self.name}: instance {run.begun.id} {what}")

    def _event(self, run: Run) -> Event:
        begun = run.begun
        args = {
            "token": run.token, "id": begun.id, "workflow": self.name, "params": begun.params, "created": begun.created,
        }  # fmt: skip
        return Event("run", _CLIENT, args, self._class, BINDING, timed=False, leaving=run.leave)

    def _class(self, bindings: Sequence[Binding]) -> str:
        """What the version that answers calls it; one that is just uploaded may do otherwise. Raises ScriptError."""
        found = next((binding for binding in bindings if binding.name == BINDING), None)
        name: str | None = getattr(found, "classes", {}).get(self.name)
        if name is None:
            raise ScriptError(f"the version that answers has no workflow {self.name!r}")
        return name


__all__ = ["BINDING", "Engine"]
