"""What AI Gateways keep, in two SQLite files under the state folder: answers to give again, and logs.

Each file has a bound in bytes; the oldest rows make room. Nothing here may stop a request: a disk that is
full or broken costs the cache and the logs, not the answers; the terminal is told once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bindings.sqlite import Database, StoreError, trim

CACHE_SCHEMA = ["CREATE TABLE answer (key BLOB UNIQUE NOT NULL, expires REAL NOT NULL, content BLOB NOT NULL)"]
LOG_SCHEMA = ["CREATE TABLE log (id TEXT UNIQUE NOT NULL, gateway TEXT NOT NULL, content BLOB NOT NULL)"]


class CachedAnswer(msgspec.Struct, frozen=True):
    """A whole good answer: the ``chunks`` of its stream, or else its ``json``, and what it cost to make.

    The JSON stays a text: it may hold numbers that msgpack cannot.
    """

    headers: dict[str, str]
    tokens: int
    prompt_tokens: int
    json: bytes = b""
    chunks: list[bytes] | None = None


_answer_decoder = msgspec.msgpack.Decoder(CachedAnswer)


class GatewayStore:
    """Cache and logs. ``warn(text)`` hears of trouble with the disk, once per kind of trouble."""

    def __init__(
        self, folder: Path, warn: Callable[[str], None], *, cache_bytes: int = 256 << 20, log_bytes: int = 64 << 20
    ) -> None:
        self._warn, self._last_warning = warn, ""
        self._cache_bytes, self._log_bytes = cache_bytes, log_bytes
        self._cache = Database(folder / "ai-gateway-cache.sqlite", CACHE_SCHEMA)
        self._logs = Database(folder / "ai-gateway-logs.sqlite", LOG_SCHEMA)
        self._writes: set[asyncio.Task[None]] = set()

    def limit(self, *, cache_bytes: int, log_bytes: int) -> None:
        """New bounds, from the next write on."""
        self._cache_bytes, self._log_bytes = cache_bytes, log_bytes

    async def find(self, key: bytes) -> CachedAnswer | None:
        """The answer kept under ``key``, unless it is too old."""

        def work(db: sqlite3.Connection) -> tuple[bytes] | None:
            row: tuple[bytes] | None = db.execute(
                "SELECT content FROM answer WHERE key = ? AND expires > ?", (key, time.time())
            ).fetchone()
            return row

        try:
            row = await self._cache.do(work)
        except StoreError as error:
            self._trouble(error)
            return None
        return None if row is None else _answer_decoder.decode(row[0])

    def keep(self, key: bytes, ttl: float, answer: CachedAnswer) -> None:
        """Keep ``answer`` for ``ttl`` seconds, if it is not a large part of all there is room for."""
        content = msgspec.msgpack.encode(answer)
        limit = self._cache_bytes
        if len(content) <= self.largest:

            def work(db: sqlite3.Connection) -> None:
                db.execute("DELETE FROM answer WHERE expires <= ?", (time.time(),))
                db.execute("REPLACE INTO answer VALUES (?, ?, ?)", (key, time.time() + ttl, content))
                trim(db, "answer", limit)

            self._write(self._cache.do(work))

    @property
    def largest(self) -> int:
        """Bytes of the largest answer that is kept."""
        return self._cache_bytes // 8

    def log(self, gateway: str, id: str, content: Mapping[str, Any]) -> None:
        """Write a log, or what has become known of it since: what was patched meanwhile stays."""
        limit = self._log_bytes

        def work(db: sqlite3.Connection) -> None:
            _put_log(db, gateway, id, content)
            trim(db, "log", limit)

        self._write(self._logs.do(work))

    async def read_log(self, gateway: str, id: str) -> dict[str, Any] | None:
        """Raises StoreError."""
        return await self._logs.do(lambda db: _log(db, gateway, id))

    async def patch_log(self, gateway: str, id: str, changes: Mapping[str, Any]) -> bool:
        """Whether there is such a log. Raises StoreError."""

        def work(db: sqlite3.Connection) -> bool:
            exists = _log(db, gateway, id) is not None
            if exists:
                _put_log(db, gateway, id, changes)
            return exists

        return await self._logs.do(work)

    async def aclose(self) -> None:
        await asyncio.gather(*self._writes)
        await self._cache.aclose()
        await self._logs.aclose()

    def _write(self, write: asyncio.Future[None]) -> None:
        """Nobody waits for a write, yet a later read finds it: the database's thread keeps their order."""
        task = asyncio.get_running_loop().create_task(self._written(write))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _written(self, write: asyncio.Future[None]) -> None:
        try:
            await write
        except StoreError as error:
            self._trouble(error)

    def _trouble(self, error: StoreError) -> None:
        if str(error) != self._last_warning:
            self._last_warning = str(error)
            self._warn(f"AI Gateway goes on without its cache or logs: {error}")


class CacheSlot(msgspec.Struct, frozen=True):
    """The place of one answer in the cache; ``ttl``: the seconds it may stay there."""

    store: GatewayStore
    key: bytes
    ttl: float

    async def find(self) -> CachedAnswer | None:
        return await self.store.find(self.key)

    def keep(self, answer: CachedAnswer) -> None:
        self.store.keep(self.key, self.ttl, answer)


def _log(db: sqlite3.Connection, gateway: str, id: str) -> dict[str, Any] | None:
    row = db.execute("SELECT content FROM log WHERE id = ? AND gateway = ?", (id, gateway)).fetchone()
    return None if row is None else msgspec.json.decode(row[0])


def _put_log(db: sqlite3.Connection, gateway: str, id: str, content: Mapping[str, Any]) -> None:
    merged = msgspec.json.encode({**(_log(db, gateway, id) or {}), **content})
    if not db.execute("UPDATE log SET content = ? WHERE id = ?", (merged, id)).rowcount:
        db.execute("INSERT INTO log (id, gateway, content) VALUES (?, ?, ?)", (id, gateway, merged))


__all__ = ["CacheSlot", "CachedAnswer", "GatewayStore"]
