"""What is in a workflow's database, and the SQL for it. Times are ms since the epoch; contents are msgpack.

An instance's ``due`` says when a run is to begin; NULL: one goes on, or none is to come. ``generation`` counts its
restarts: a run of an earlier one changes nothing any more.
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any, NamedTuple

import msgspec

from bindings.storage import clock
from bindings.workflows.errors import Failure

STEPS = (
    """
    CREATE TABLE instances (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL, params BLOB NOT NULL, source TEXT NOT NULL, output BLOB, error TEXT,
        created INTEGER NOT NULL, modified INTEGER NOT NULL, started INTEGER, ended INTEGER, paused INTEGER,
        due INTEGER, losses INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX instances_due ON instances (due) WHERE due IS NOT NULL;
    CREATE INDEX instances_ended ON instances (ended) WHERE ended IS NOT NULL;
    CREATE TABLE steps (
        instance INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE, position INTEGER NOT NULL,
        kind TEXT NOT NULL, name TEXT NOT NULL, nth INTEGER NOT NULL, status TEXT NOT NULL,
        detail TEXT NOT NULL, result BLOB, error TEXT, failed INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0, due INTEGER, started INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER,
        PRIMARY KEY (instance, kind, name, nth)
    );
    CREATE INDEX steps_position ON steps (instance, position);
    CREATE TABLE attempts (
        instance INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE, position INTEGER NOT NULL,
        number INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL, error TEXT NOT NULL,
        PRIMARY KEY (instance, position, number)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT, instance INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
        type TEXT NOT NULL, payload BLOB NOT NULL, at INTEGER NOT NULL
    );
    CREATE INDEX events_of ON events (instance, type);
    """,
)
ENDED = ("complete", "errored", "terminated")
PAUSING = "waitingForPause"
STATUSES = ("queued", "running", "paused", PAUSING, *ENDED)
DO, SLEEP, WAIT = "do", "sleep", "waitForEvent"
KEPT_ATTEMPTS = 100  # of one step


class Instance(NamedTuple):
    number: int
    id: str
    generation: int
    status: str
    params: bytes
    source: str
    output: bytes | None
    error: str | None  # JSON of a Failure
    created: int
    modified: int
    started: int | None
    ended: int | None
    paused: int | None
    due: int | None
    losses: int
    bytes: int

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def failure(self) -> Failure | None:
        return None if self.error is None else msgspec.json.decode(self.error)


class Step(NamedTuple):
    """``status``: running, waiting (for ``due``), done or failed. ``detail``: JSON, by its kind."""

    instance: int
    position: int
    kind: str
    name: str
    nth: int  # of that kind and name, from 1
    status: str
    detail: str
    result: bytes | None = None
    error: str | None = None
    failed: int = 0  # attempts
    lost: int = 0  # attempts whose process did not survive them
    due: int | None = None
    started: int = 0
    began: int = 0  # the last attempt
    ended: int | None = None

    @property
    def failure(self) -> Failure:
        found: Failure = msgspec.json.decode(self.error or "{}")
        return found

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.detail)
        return found


_INSTANCE = ", ".join(Instance._fields)
_STATE = _INSTANCE.replace("params", "x''").replace("output", "NULL")
_STEP = ", ".join(Step._fields)


def now() -> int:
    return clock.now_ms()


def instance(connection: Connection, id: str) -> Instance | None:
    row = connection.execute(f"SELECT {_INSTANCE} FROM instances WHERE id = ?", (id,)).fetchone()
    return None if row is None else Instance(*row)


def state(connection: Connection, id: str) -> Instance | None:
    """Without what is large: its parameters and its output."""
    row = connection.execute(f"SELECT {_STATE} FROM instances WHERE id = ?", (id,)).fetchone()
    return None if row is None else Instance(*row)


def instances(
    connection: Connection, status: str | None, first: int, last: int, offset: int, limit: int
) -> tuple[list[Instance], int]:
    """(those created from ``first`` to ``last``, newest first; how many there are)."""
    where, values = "created BETWEEN ? AND ?", [first, last, *([status] if status else [])]
    where += " AND status = ?" if status else ""
    [total] = connection.execute(f"SELECT count(*) FROM instances WHERE {where}", values).fetchone()
    sql = f"SELECT {_INSTANCE} FROM instances WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?"
    return [Instance(*row) for row in connection.execute(sql, (*values, limit, offset))], total


def counts(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT status, count(*) FROM instances GROUP BY status"))


def add(connection: Connection, id: str, params: bytes, source: str) -> Instance | None:
    """A queued one; None: there is one of that id."""
    at = now()
    done = connection.execute(
        "INSERT INTO instances (id, status, params, source, created, modified, due) VALUES (?, 'queued', ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (id, params, source, at, at, at),
    )
    return instance(connection, id) if done.rowcount else None


def change(connection: Connection, number: int, **values: object) -> None:
    """Columns of an instance."""
    names = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE instances SET {names}, modified = ? WHERE number = ?", (*values.values(), now(), number)
    )


def remove(connection: Connection, number: int) -> None:
    connection.execute("DELETE FROM instances WHERE number = ?", (number,))


def due(connection: Connection, until: int, limit: int) -> list[Instance]:
    sql = f"SELECT {_INSTANCE} FROM instances WHERE due <= ? ORDER BY due, number LIMIT ?"
    return [Instance(*row) for row in connection.execute(sql, (until, limit))]


def next_due(connection: Connection, after: int) -> int | None:
    found: int | None = connection.execute("SELECT min(due) FROM instances WHERE due > ?", (after,)).fetchone()[0]
    return found


def recover(connection: Connection) -> None:
    """What a supervisor that is no more had in hand is to go on."""
    connection.execute("UPDATE instances SET status = 'paused', paused = ? WHERE status = 'waitingForPause'", (now(),))
    connection.execute("UPDATE instances SET due = 0 WHERE status IN ('queued', 'running') AND due IS NULL")


def expire(connection: Connection, success_ms: int, error_ms: int) -> None:
    """Remove those that have ended so long ago."""
    at = now()
    connection.execute(
        "DELETE FROM instances WHERE ended <= CASE status WHEN 'complete' THEN ? ELSE ? END",
        (at - success_ms, at - error_ms),
    )


def step(connection: Connection, number: int, kind: str, name: str, nth: int) -> Step | None:
    row = connection.execute(
        f"SELECT {_STEP} FROM steps WHERE instance = ? AND kind = ? AND name = ? AND nth = ?", (number, kind, name, nth)
    ).fetchone()
    return None if row is None else Step(*row)


def steps(connection: Connection, number: int) -> list[Step]:
    rows = connection.execute(f"SELECT {_STEP} FROM steps WHERE instance = ? ORDER BY position", (number,))
    return [Step(*row) for row in rows]


def keys(connection: Connection, number: int) -> list[tuple[int, str, str, int]]:
    """(position, kind, name, nth) of all its steps."""
    sql = "SELECT position, kind, name, nth FROM steps WHERE instance = ?"
    return connection.execute(sql, (number,)).fetchall()


def put(connection: Connection, step: Step) -> None:
    """In place of what is known of it."""
    connection.execute(f"INSERT OR REPLACE INTO steps ({_STEP}) VALUES ({', '.join('?' * len(step))})", step)


def put_attempt(connection: Connection, step: Step, number: int, ended: int, error: str) -> None:
    """One that failed; of very many the last are kept."""
    connection.execute(
        "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?)",
        (step.instance, step.position, number, step.began, ended, error),
    )
    connection.execute(
        "DELETE FROM attempts WHERE instance = ? AND position = ? AND number <= ?",
        (step.instance, step.position, number - KEPT_ATTEMPTS),
    )


def attempts(connection: Connection, number: int) -> dict[int, list[tuple[int, int, int, Failure]]]:
    """Of each step, by position: (number, began, ended, error) of those that failed."""
    found: dict[int, list[tuple[int, int, int, Failure]]] = {}
    sql = "SELECT position, number, began, ended, error FROM attempts WHERE instance = ? ORDER BY position, number"
    for position, *rest, error in connection.execute(sql, (number,)):
        found.setdefault(position, []).append((*rest, msgspec.json.decode(error)))
    return found


def grow(connection: Connection, number: int, size: int) -> int:
    """It keeps so many bytes more; how many in all."""
    sql = "UPDATE instances SET bytes = bytes + ?, losses = 0 WHERE number = ? RETURNING bytes"
    [total] = connection.execute(sql, (size, number)).fetchone()
    return int(total)


def forget_steps(connection: Connection, number: int, first: int = 0) -> None:
    """From a position on."""
    for table in ("steps", "attempts"):
        connection.execute(f"DELETE FROM {table} WHERE instance = ? AND position >= ?", (number, first))


def shift(connection: Connection, number: int, ms: int) -> None:
    """What it waits for comes so much later."""
    sql = "UPDATE steps SET due = due + ? WHERE instance = ? AND status = 'waiting'"
    connection.execute(sql, (ms, number))


def take_event(connection: Connection, number: int, type: str) -> tuple[bytes, int] | None:
    """(payload, when it came) of the oldest one of that type, which is gone then."""
    row = connection.execute(
        "DELETE FROM events WHERE number ="
        " (SELECT min(number) FROM events WHERE instance = ? AND type = ?) RETURNING payload, at",
        (number, type),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def add_event(connection: Connection, number: int, type: str, payload: bytes, most: int) -> None:
    """Beyond ``most`` that nobody has waited for, the oldest goes."""
    sql = "INSERT INTO events (instance, type, payload, at) VALUES (?, ?, ?, ?)"
    connection.execute(sql, (number, type, payload, now()))
    connection.execute(
        "DELETE FROM events WHERE instance = ? AND number <="
        " (SELECT number FROM events WHERE instance = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (number, number, most),
    )


def clear_events(connection: Connection, number: int) -> None:
    connection.execute("DELETE FROM events WHERE instance = ?", (number,))


def waiting_for(connection: Connection, number: int, type: str) -> Step | None:
    """The first step that waits for an event of that type."""
    found = connection.execute(
        f"SELECT {_STEP} FROM steps WHERE instance = ? AND kind = '{WAIT}' AND status = 'waiting'"
        " AND json_extract(detail, '$.type') = ? ORDER BY position LIMIT 1",
        (number, type),
    ).fetchone()
    return None if found is None else Step(*found)
