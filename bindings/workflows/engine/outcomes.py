"""What a run writes of its instance: transactions that do nothing once the run is none of the instance's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sqlite3 import Connection
from typing import TypeVar

import msgspec

from bindings.workflows import errors
from bindings.workflows.engine import rows
from bindings.workflows.engine.rows import Instance, Step

T = TypeVar("T")
MAX_STORED = 1024**3  # bytes of results in one instance
MAX_LOSSES = 10  # runs, or attempts of one step, in a row that their process did not survive
_LOSS_PAUSE_MS = 500, 30_000  # before the next one: at first, at most


class Gone(Exception):
    """The instance has ended, was paused, removed or begun anew."""


def guarded(begun: Instance, work: Callable[[Connection, Instance], T]) -> Callable[[Connection], T]:
    """``work``, if the run that began with the instance as ``begun`` is its run still. Raises Gone."""

    def run(connection: Connection) -> T:
        found = rows.state(connection, begun.id)
        if found is None or found[:3] != begun[:3] or found.status not in ("queued", "running", "waitingForPause"):
            raise Gone
        return work(connection, found)

    return run


def begin(connection: Connection, found: Instance) -> list[tuple[int, str, str, int]]:
    """The keys of its steps."""
    rows.change(connection, found.number, status="running", started=found.started or rows.now(), due=None)
    return rows.keys(connection, found.number)


def finish_step(connection: Connection, step: Step) -> bool:
    """False: that is too much to keep, and the step has failed."""
    total = rows.grow(connection, step.instance, len(step.result or b""))
    if total <= MAX_STORED:
        rows.put(connection, step)
        return True
    rows.put(connection, step._replace(status="failed", result=None, error=as_json(errors.storage_exceeded())))
    return False


def fail_attempt(connection: Connection, step: Step, error: errors.Failure, at: int) -> None:
    rows.put_attempt(connection, step, step.failed + step.lost, at, as_json(error))
    rows.put(connection, step)


def wait_for_event(connection: Connection, step: Step) -> Step:
    """The step as it is now: done, where the event was there before."""
    from bindings.workflows.engine.store import event_result

    if (event := rows.take_event(connection, step.instance, step.facts["type"])) is not None:
        result = event_result(event[0], step.facts["type"], event[1])
        step = step._replace(status="done", result=result, due=None, ended=rows.now())
        rows.grow(connection, step.instance, len(result))
    rows.put(connection, step)
    return step


def give_up_waiting(connection: Connection, step: Step, error: errors.Failure) -> Step:
    """Unless the event has come meanwhile."""
    found = rows.step(connection, step.instance, step.kind, step.name, step.nth) or step
    if found.status == "waiting":
        found = found._replace(status="failed", error=as_json(error), due=None, ended=rows.now())
        rows.put(connection, found)
    return found


def pause(connection: Connection, found: Instance) -> bool:
    """Whether that is still wanted."""
    if found.status != "waitingForPause":
        return False
    rows.change(connection, found.number, status="paused", paused=rows.now(), due=None)
    return True


def release(connection: Connection, found: Instance, waits: Iterable[Step]) -> None:
    """Let go: it is due when the first of these is, or now if one of them has come about."""
    if pause(connection, found):
        return
    rows.change(connection, found.number, due=_next(connection, waits, rows.now()))


def lose(connection: Connection, found: Instance, attempts: Sequence[Step], waits: Iterable[Step], why: str) -> bool:
    """Its process is gone. False: that was once too often, and it has errored."""
    error: errors.Failure = {"name": "Error", "message": why}
    for step in attempts:
        _lose_attempt(connection, step, error)
    if not attempts and found.losses + 1 >= MAX_LOSSES:
        end(connection, found, "errored", None, error)
        return False
    if not attempts:
        rows.change(connection, found.number, losses=found.losses + 1)
    if not pause(connection, found):
        at = rows.now() + (0 if attempts else pause_after_loss(found.losses))
        rows.change(connection, found.number, due=_next(connection, [*attempts, *waits], at))
    return True


def postpone(connection: Connection, found: Instance, ms: int) -> None:
    """Nobody could begin it."""
    if not pause(connection, found):
        rows.change(connection, found.number, status="queued", due=rows.now() + ms)


def end(
    connection: Connection, found: Instance, status: str, output: bytes | None, error: errors.Failure | None
) -> None:
    rows.change(
        connection, found.number, status=status, output=output, error=None if error is None else as_json(error),
        ended=rows.now(), due=None,
    )  # fmt: skip
    rows.clear_events(connection, found.number)


def as_json(error: errors.Failure) -> str:
    return msgspec.json.encode(error).decode()


def pause_after_loss(losses: int) -> int:
    return int(min(_LOSS_PAUSE_MS[0] * 2 ** min(losses, 16), _LOSS_PAUSE_MS[1]))


def _lose_attempt(connection: Connection, step: Step, error: errors.Failure) -> None:
    lost = step._replace(lost=step.lost + 1)
    if lost.lost >= MAX_LOSSES:
        lost = lost._replace(status="failed", error=as_json(error), due=None, ended=rows.now())
    else:
        lost = lost._replace(status="waiting", due=rows.now() + pause_after_loss(step.lost))
    fail_attempt(connection, lost, error, rows.now())


def _next(connection: Connection, steps: Iterable[Step], default: int) -> int:
    """When the first of them is due, as they are by now."""
    dues: list[int] = []
    for step in steps:
        found = rows.step(connection, step.instance, step.kind, step.name, step.nth)
        dues.append(default if found is None or found.due is None else found.due)
    return min(dues, default=default)
