"""The host's registry: workers, versions, deployments, tokens and the audit log, in one SQLite file.

A call that has returned is on disk (``synchronous=FULL``): whatever process is killed next, it is there afterwards.
Calls block for as long as the disk takes; the control API makes them in a thread.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime.errors import UserError
from runtime.host.store.rows import AuditRow, DeploymentRow, TallyRow, TokenRow, VersionRow, now

T = TypeVar("T", bound=msgspec.Struct)

SCHEMA_VERSION = 1
MAX_AUDIT_ROWS = 100_000  # calls that the audit log keeps
MAX_TALLY_ROWS = 10_000  # rows of what is counted, of strangers and of tokens each

_TABLES = """
CREATE TABLE worker (name TEXT PRIMARY KEY, created TEXT NOT NULL, settings BLOB NOT NULL);
CREATE TABLE version (id TEXT PRIMARY KEY, worker TEXT NOT NULL, number INTEGER NOT NULL, row BLOB NOT NULL,
                      UNIQUE (worker, number));
CREATE TABLE deployment (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, worker TEXT NOT NULL,
                         row BLOB NOT NULL);
CREATE INDEX deployment_worker ON deployment (worker, seq);
CREATE TABLE token (id TEXT PRIMARY KEY, hash TEXT UNIQUE NOT NULL, row BLOB NOT NULL);
CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL);
"""
_TALLY = """
CREATE TABLE IF NOT EXISTS tally (minute TEXT, token TEXT, peer TEXT, status INTEGER, what TEXT NOT NULL,
                                  count INTEGER NOT NULL, PRIMARY KEY (minute, token, peer, status));
"""


class Registry:
    """Safe to call from any thread, one call at a time. Raises sqlite3.Error when the disk fails."""

    def __init__(self, file: Path) -> None:
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif found != SCHEMA_VERSION:
            raise UserError(
                f"was written by another release (schema {found}, not {SCHEMA_VERSION})",
                where=str(file),
                remedy="Serve it with that release.",
            )
        self._db.executescript(_TALLY)  # later than the schema's version, which need not change for it
        self._reader = sqlite3.connect(file, check_same_thread=False, isolation_level=None)

    def close(self) -> None:
        with self._lock, self._reading:
            self._reader.close()
            self._db.close()

    # Workers

    def workers(self) -> list[str]:
        return [name for (name,) in self._read("SELECT name FROM worker ORDER BY name")]

    def settings(self, worker: str) -> dict[str, Any] | None:
        """What is not part of a version (schedules, subdomain, tags); None: there is no such worker."""
        rows = self._read("SELECT settings FROM worker WHERE name=?", worker)
        return msgspec.json.decode(rows[0][0]) if rows else None

    def make(self, worker: str) -> None:
        """A worker without a version, unless it is there."""
        with self._writing() as db:
            db.execute("INSERT INTO worker VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [worker, now(), b"{}"])

    def change(self, worker: str, **settings: Any) -> None:
        """Change these of its settings; nothing happens where it has been deleted."""
        with self._writing() as db:
            for (kept,) in db.execute("SELECT settings FROM worker WHERE name=?", [worker]).fetchall():
                _set(db, worker, {**msgspec.json.decode(kept), **settings})

    def claim(self, worker: str, hosts: Sequence[str]) -> dict[str, list[str]]:
        """These hostnames are the worker's, and nobody else's any more. What everybody has then."""
        found = {}
        with self._writing() as db:
            for name, kept in db.execute("SELECT name, settings FROM worker").fetchall():
                settings = msgspec.json.decode(kept)
                had: list[str] = settings.get("domains", [])
                found[name] = sorted(hosts) if name == worker else [host for host in had if host not in hosts]
                if found[name] != had:
                    _set(db, name, {**settings, "domains": found[name]})
        return found

    def delete(self, worker: str) -> None:
        """With all its versions, deployments and secrets."""
        with self._writing() as db:
            for table, column in (("deployment", "worker"), ("version", "worker"), ("worker", "name")):
                db.execute(f"DELETE FROM {table} WHERE {column}=?", [worker])

    # Versions and deployments

    def add_version(self, row: VersionRow) -> None:
        """Its number must be the worker's next."""
        with self._writing() as db:
            _add_version(db, row)

    def version(self, id: str) -> VersionRow | None:
        return _one(VersionRow, self._read("SELECT row FROM version WHERE id=?", id))

    def find_versions(self, worker: str, text: str) -> list[VersionRow]:
        """The worker's version of that number; where there is none, those whose id begins so, two at most. As with
        git, four characters are the least: nobody who means a number is to get an id that begins with it."""
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
        rows = self._read("SELECT row FROM version WHERE worker=? AND number=?", worker, number)
        query = "SELECT row FROM version WHERE worker=? AND substr(id, 1, max(?, 4))=? LIMIT 2"
        return _all(VersionRow, rows or self._read(query, worker, len(text), text.lower()))

    def versions(self, worker: str, limit: int = 100) -> list[VersionRow]:
        """The newest first."""
        query = "SELECT row FROM version WHERE worker=? ORDER BY number DESC LIMIT ?"
        return _all(VersionRow, self._read(query, worker, limit))

    def bundles(self) -> set[str]:
        """The digests that some version names."""
        return {row.bundle for row in _all(VersionRow, self._read("SELECT row FROM version"))}

    def metadata(self) -> list[dict[str, Any]]:
        """Of every version."""
        return [row.metadata for row in _all(VersionRow, self._read("SELECT row FROM version"))]

    def add_deployment(self, row: DeploymentRow, new: VersionRow | None = None) -> None:
        """With the version that is ``new``, or not at all."""
        with self._writing() as db:
            if new is not None:
                _add_version(db, new)
            db.execute("INSERT INTO deployment (id, worker, row) VALUES (?, ?, ?)", [row.id, row.worker, _packed(row)])

    def deployments(self, worker: str, limit: int = 10) -> list[DeploymentRow]:
        """The newest first: it is the one in force."""
        query = "SELECT row FROM deployment WHERE worker=? ORDER BY seq DESC LIMIT ?"
        return _all(DeploymentRow, self._read(query, worker, limit))

    def deployment(self, worker: str) -> DeploymentRow | None:
        """The one in force."""
        return next(iter(self.deployments(worker, 1)), None)

    def versions_of(self, row: DeploymentRow) -> list[tuple[VersionRow, float]]:
        """The versions it names, with their shares."""
        found = [(self.version(id), share) for id, share in row.versions]
        return [(version, share) for version, share in found if version is not None]

    # Tokens and the audit log

    def add_token(self, row: TokenRow) -> None:
        with self._writing() as db:
            db.execute(
                "INSERT INTO token VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET row=excluded.row",
                [row.id, row.hash, _packed(row)],
            )

    def tokens(self) -> list[TokenRow]:
        return _all(TokenRow, self._read("SELECT row FROM token"))

    def audit(self, row: AuditRow) -> None:
        with self._writing() as db:
            seq = db.execute("INSERT INTO audit (row) VALUES (?)", [_packed(row)]).lastrowid or 0
            db.execute("DELETE FROM audit WHERE seq <= ?", [seq - MAX_AUDIT_ROWS])

    def audited(self, limit: int = 100) -> list[AuditRow]:
        """The newest first."""
        return _all(AuditRow, self._read("SELECT row FROM audit ORDER BY seq DESC LIMIT ?", limit))

    def add_tallies(self, rows: Iterable[TallyRow]) -> None:
        """To those of the same minute, token, address and status."""
        with self._writing() as db:
            db.executemany(
                "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count=count+excluded.count", rows
            )
            for whose in ("token=''", "token!=''"):
                newest = f"SELECT rowid FROM tally WHERE {whose} ORDER BY rowid DESC LIMIT {MAX_TALLY_ROWS}"
                db.execute(f"DELETE FROM tally WHERE {whose} AND rowid NOT IN ({newest})")

    def tallies(self, limit: int = 100) -> list[TallyRow]:
        """The newest first."""
        return [TallyRow(*row) for row in self._read("SELECT * FROM tally ORDER BY rowid DESC LIMIT ?", limit)]

    def _read(self, query: str, *values: Any) -> list[Any]:
        """On a connection of its own: who reads does not wait for who writes, whom a slow disk may hold up."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All of it, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _set(db: sqlite3.Connection, worker: str, settings: dict[str, Any]) -> None:
    db.execute("UPDATE worker SET settings=? WHERE name=?", [msgspec.json.encode(settings), worker])


def _add_version(db: sqlite3.Connection, row: VersionRow) -> None:
    db.execute("INSERT INTO worker VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [row.worker, row.created, b"{}"])
    db.execute("INSERT INTO version VALUES (?, ?, ?, ?)", [row.id, row.worker, row.number, _packed(row)])


def _packed(row: msgspec.Struct) -> bytes:
    return msgspec.json.encode(row)


def _all(kind: type[T], rows: list[Any]) -> list[T]:
    return [msgspec.json.decode(row, type=kind) for (row,) in rows]


def _one(kind: type[T], rows: list[Any]) -> T | None:
    return next(iter(_all(kind, rows)), None)


__all__ = ["Registry"]
