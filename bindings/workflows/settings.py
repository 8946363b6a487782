"""``[[workflows]]``: what stands there, and what of it is refused."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from bindings.storage.keeping import refuse_remote
from bindings.workflows.durations import milliseconds
from runtime.config import Config

KEY = "workflows"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_DAY_MS = 86_400_000
MAX_RETENTION_DAYS = 365
DEFAULT_RETENTION_MS = 30 * _DAY_MS


class StepLimits(msgspec.Struct, frozen=True):
    steps: Annotated[int, msgspec.Meta(ge=1, le=25_000)] | None = None


class Concurrency(msgspec.Struct, frozen=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class Retention(msgspec.Struct, frozen=True):
    """How long an instance is kept that has ended: ms or "3 days"."""

    success_retention: int | str | None = None
    error_retention: int | str | None = None


class WorkflowTable(msgspec.Struct, frozen=True):
    """One of ``[[workflows]]``. ``script_name``: the worker that has the class, where it is another one."""

    name: str
    class_name: str
    binding: str | None = None
    script_name: str | None = None
    limits: StepLimits = StepLimits()
    concurrency: Concurrency = Concurrency()
    schedules: str | tuple[str, ...] = ()
    default_retention: Retention = Retention()
    jurisdiction: str | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None

    @property
    def crons(self) -> tuple[str, ...]:
        return (self.schedules,) if isinstance(self.schedules, str) else self.schedules


class WorkflowSettings(msgspec.Struct, frozen=True):
    """Its part of ``[pilot]``."""

    workflow_run_limit: Annotated[float, msgspec.Meta(gt=0, le=604_800)] = 86_400  # seconds that one run may take
    workflow_clock: bool | None = None  # whether ``schedules`` begin instances by the clock; None: on a host they do


class Terms(msgspec.Struct, frozen=True):
    """What a workflow is to its engine: whose class it is, and how much of it there may be."""

    worker: str
    class_name: str
    steps: int = 1024
    concurrency: int = 100  # runs at a time
    crons: tuple[str, ...] = ()
    success_ms: int = DEFAULT_RETENTION_MS
    error_ms: int = DEFAULT_RETENTION_MS


def tables(config: Config) -> list[WorkflowTable]:
    return config.tables(KEY, WorkflowTable)


def is_own(config: Config, table: WorkflowTable) -> bool:
    return table.script_name in (None, "", config.name)


def terms_of(worker: str, table: WorkflowTable) -> Terms:
    terms = Terms(worker, table.class_name, crons=table.crons)
    given = {
        "steps": table.limits.steps,
        "concurrency": table.concurrency.limit,
        "success_ms": _kept(table.default_retention.success_retention),
        "error_ms": _kept(table.default_retention.error_retention),
    }
    return msgspec.structs.replace(terms, **{key: value for key, value in given.items() if value is not None})


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def check(config: Config) -> None:
    """Raises ConfigError."""
    seen: set[str] = set()
    for number, table in enumerate(tables(config)):
        if not is_name(table.name):
            what = f"{table.name!r} is no name of a workflow: 1 to 64 letters, digits, _ and -, and no - in front"
            raise config.error(KEY, what, number, remedy='Write:  name = "orders"')
        if not table.class_name.isidentifier():
            remedy = 'Write:  class_name = "Orders"'
            raise config.error(KEY, f"{table.class_name!r} is no name of a class", number, remedy=remedy)
        if table.name in seen:
            what, remedy = f"there are two workflows {table.name!r}", "Give each a name of its own."
            raise config.error(KEY, what, number, remedy=remedy)
        seen.add(table.name)
        _check_schedules(config, number, table)
        _check_retention(config, number, table)
        _check_foreign(config, number, table)
        if table.binding is not None:
            refuse_remote(config, KEY, number, _Bound(table.binding, table.remote, table.experimental_remote))


class _Bound(msgspec.Struct):
    binding: str
    remote: bool | None
    experimental_remote: bool | None


def _check_schedules(config: Config, number: int, table: WorkflowTable) -> None:
    if not table.crons:
        return
    from bindings.schedule.expression import BadExpression, parse

    for text in table.crons:
        try:
            parse(text)
        except BadExpression as error:
            what, remedy = f"schedules: {text!r} is no cron expression: {error}", 'Write:  schedules = ["0 * * * *"]'
            raise config.error(KEY, what, number, remedy=remedy) from None


def _check_retention(config: Config, number: int, table: WorkflowTable) -> None:
    for name in ("success_retention", "error_retention"):
        value = getattr(table.default_retention, name)
        if value is not None and not 0 < milliseconds(value) <= MAX_RETENTION_DAYS * _DAY_MS:
            what = f"{name} {value!r} is not from 1 ms to {MAX_RETENTION_DAYS} days"
            raise config.error(KEY, what, number, remedy=f'Write:  {name} = "3 days"')


def _check_foreign(config: Config, number: int, table: WorkflowTable) -> None:
    """Upstream refuses the same at deploy."""
    given = {
        "limits": table.limits.steps,
        "concurrency": table.concurrency.limit,
        "schedules": table.crons,
        "default_retention": table.default_retention.success_retention or table.default_retention.error_retention,
    }
    if not is_own(config, table) and (named := [key for key, value in given.items() if value]):
        what = f"{named[0]!r} of the workflow {table.name!r} belongs to the worker that has its class"
        raise config.error(KEY, what, number, remedy=f"Move it to the configuration of {table.script_name!r}.")


def _kept(value: int | str | None) -> int | None:
    return None if value is None else round(milliseconds(value))


__all__ = [
    "DEFAULT_RETENTION_MS", "KEY", "Terms", "WorkflowSettings", "WorkflowTable", "check", "is_name", "is_own", "tables",
    "terms_of",
]  # fmt: skip
