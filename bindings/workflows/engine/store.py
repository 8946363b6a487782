"""A workflow's database, and what people may do to its instances: each is one transaction, on disk when it returns.

It works beside a supervisor too: a command's process writes what is wanted, and the engine sees that it has.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple, TypeVar

import msgspec

from bindings.sqlite import Database
from bindings.workflows import errors
from bindings.workflows.engine import rows
from bindings.workflows.engine.rows import Instance, Step

T = TypeVar("T")
MAX_BYTES = 1024 * 1024  # of parameters, a result, an event's payload
MAX_BATCH = 100  # instances
_MAX_EVENTS = 1_000  # of one instance, that nobody has waited for yet
_MAX_TYPE = 100  # characters of an event's type
_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}")
EMPTY = b"\x80"  # {}, as msgpack

pack = msgspec.msgpack.Encoder().encode


class New(NamedTuple):
    """An instance to be: ``id`` None, a random one."""

    id: str | None = None
    params: bytes = EMPTY


class From(NamedTuple):
    """The step from which an instance begins anew."""

    name: str
    nth: int = 1
    kind: str = rows.DO

    @classmethod
    def read(cls, given: object) -> From | None:
        """``{"name", "count"?, "type"?}``, or None."""
        match given:
            case None:
                return None
            case {"name": str(name), **rest}:
                nth, kind = rest.get("count") or 1, rest.get("type") or rows.DO
                if isinstance(nth, int) and isinstance(kind, str):
                    return cls(name, nth, kind)
        raise errors.bad_argument()


class View(NamedTuple):
    """An instance, its steps in order, and their failed attempts by position: (number, began, ended, error)."""

    instance: Instance
    steps: list[Step]
    attempts: dict[int, list[tuple[int, int, int, errors.Failure]]]


class Store:
    """Raises WorkflowError for what upstream refuses, and StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(path, rows.STEPS, durable=True)
        self.aclose = self.database.aclose

    @property
    def exists(self) -> bool:
        """Whether there has been an instance."""
        return self.path.exists()

    async def create(self, new: New, source: str = "binding") -> Instance:
        [made] = await self.create_all([new], source)
        if made is None:
            raise errors.already_exists(str(new.id))
        return made

    async def create_all(self, batch: Sequence[New], source: str = "binding") -> list[Instance | None]:
        """All in one; None stands for one whose id there is."""
        for new in batch:
            if new.id is not None and not is_id(new.id):
                raise errors.invalid_id()
            check_size("params", new.params)

        def add(connection: Connection) -> list[Instance | None]:
            return [rows.add(connection, new.id or str(uuid.uuid4()), new.params, source) for new in batch]

        return await self.database.do(add)

    async def get(self, id: str) -> Instance:
        if (found := await self.database.read(lambda connection: rows.state(connection, id))) is None:
            raise errors.not_found()
        return found

    async def view(self, id: str) -> View:
        def read(connection: Connection) -> View:
            found = rows.instance(connection, id) or _found(connection, id)
            return View(found, rows.steps(connection, found.number), rows.attempts(connection, found.number))

        return await self.database.read(read)

    async def list(self, status: str | None, first: int, last: int, page: int, size: int) -> tuple[list[Instance], int]:
        """One page, newest first, and how many there are in all."""
        return await self.database.read(
            lambda connection: rows.instances(connection, status, first, last, (page - 1) * size, size)
        )

    async def counts(self) -> dict[str, int]:
        return await self.database.read(rows.counts)

    async def pause(self, id: str) -> None:
        await self._change(id, _pause)

    async def resume(self, id: str) -> None:
        await self._change(id, _resume)

    async def terminate(self, id: str) -> None:
        await self._change(id, _terminate)

    async def restart(self, id: str, origin: From | None = None) -> None:
        await self._change(id, lambda connection, found: _restart(connection, found, origin))

    async def remove(self, id: str) -> None:
        await self._change(id, lambda connection, found: rows.remove(connection, found.number))

    async def terminate_all(self, status: str | None) -> None:
        def terminate(connection: Connection) -> None:
            found, _ = rows.instances(connection, status, 0, 2**62, 0, -1)
            for instance in found:
                if not instance.has_ended:
                    _terminate(connection, instance)

        await self.database.do(terminate)

    async def send_event(self, id: str, type: object, payload: bytes) -> None:
        """It is kept until it is waited for; where an instance has ended, it is not."""
        if not isinstance(type, str) or not 0 < len(type) <= _MAX_TYPE:
            raise errors.bad_argument("Provided event type is invalid")
        check_size("payload", payload)
        await self._change(id, lambda connection, found: _deliver(connection, found, type, payload))

    async def _change(self, id: str, work: Callable[[Connection, Instance], None]) -> None:
        await self.database.do(lambda connection: work(connection, _found(connection, id)))


def is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_size(what: str, content: object) -> None:
    if not isinstance(content, bytes) or len(content) > MAX_BYTES:
        raise errors.coded("body", f"{what} is too large. Maximum allowed size is 1MiB.")


def event_result(payload: bytes, type: str, at: int) -> bytes:
    """What ``wait_for_event`` gives. The payload is packed already, and nobody here looks into it."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return pack({"payload": msgspec.Raw(payload), "timestamp": moment, "type": type})


def _found(connection: Connection, id: str) -> Instance:
    if (found := rows.state(connection, id)) is None:
        raise errors.not_found()
    return found


def _pause(connection: Connection, found: Instance) -> None:
    """At once, unless a run goes on: that ends what it is at."""
    if found.status not in ("queued", "running"):
        return
    if found.due is None:
        rows.change(connection, found.number, status="waitingForPause")
    else:
        rows.change(connection, found.number, status="paused", paused=rows.now(), due=None)


def _resume(connection: Connection, found: Instance) -> None:
    if found.status == "waitingForPause":
        rows.change(connection, found.number, status="running")
    elif found.status == "paused":
        at = rows.now()
        rows.shift(connection, found.number, at - (found.paused or at))
        rows.change(connection, found.number, status="queued", paused=None, due=at)


def _terminate(connection: Connection, found: Instance) -> None:
    if found.has_ended:
        raise errors.cannot_terminate()
    rows.change(connection, found.number, status="terminated", ended=rows.now(), due=None)


def _restart(connection: Connection, found: Instance, origin: From | None) -> None:
    first = 0
    if origin is not None:
        step = rows.step(connection, found.number, origin.kind, origin.name, origin.nth)
        if step is None:
            raise errors.cannot_restart(origin.name)
        first = step.position
    else:
        rows.clear_events(connection, found.number)
    rows.forget_steps(connection, found.number, first)
    rows.change(
        connection, found.number, generation=found.generation + 1, status="queued", output=None, error=None,
        started=None, ended=None, paused=None, due=rows.now(), losses=0, bytes=0,
    )  # fmt: skip


def _deliver(connection: Connection, found: Instance, type: str, payload: bytes) -> None:
    if found.has_ended:
        return
    if (step := rows.waiting_for(connection, found.number, type)) is None:
        return rows.add_event(connection, found.number, type, payload, _MAX_EVENTS)
    at = rows.now()
    rows.put(connection, step._replace(status="done", result=event_result(payload, type, at), due=None, ended=at))
    if found.due is not None:
        rows.change(connection, found.number, due=at)


def data_version(connection: Connection) -> int:
    """Changes with each transaction of another connection."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


__all__ = ["EMPTY", "MAX_BATCH", "MAX_BYTES", "From", "New", "Store", "View", "check_size", "event_result", "is_id"]
