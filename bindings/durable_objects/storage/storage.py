"""``ctx.storage``. What is asked for is done at once, and nothing of another event comes in between.

Facts: docs/reference/bindings.md#durable-objects.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

import apsw

from bindings.client import options_of
from bindings.durable_objects.storage import bookmarks, entries
from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.storage.sql import SqlStorage, SyncKvStorage
from runtime.isolate.script.trace import script_trace
from runtime.values import JsException, JsMap
from runtime.values.dates import Date

T = TypeVar("T")
NO_BOOKMARK = "no copy of this object is kept"
KEPT = "one is made by getCurrentBookmark(), the newest twenty are kept for thirty days"
IN_TRANSACTION = "getCurrentBookmark() cannot be called within a transaction"
NOT_COPIED = "this object's storage could not be copied"
TOO_EARLY = "setAlarm() cannot be called with an alarm time <= 0"
NO_DATE = "Failed to execute '{}' on 'DurableObjectStorage': parameter 1 is not of type 'date'."


class Gate(Protocol):
    """The object's."""

    @property
    def rings(self) -> bool:
        """The handler of the alarm that is in the file runs."""

    async def entered(self) -> None:
        """Once nobody else's ``blockConcurrencyWhile`` holds this event up."""

    async def alone(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """No other event goes on meanwhile."""


class _Entries:
    """What storage and a transaction have in common."""

    def __init__(self, file: ObjectFile, gate: Gate) -> None:
        self._file, self._gate = file, gate

    async def get(self, key: object, *_: object, **options: object) -> Any:
        """The value, None where there is none; of a list of keys a JsMap of those that are there."""
        await self._gate.entered()
        return entries.get_many(self._file, key) if isinstance(key, list) else entries.get(self._file, key)

    async def put(self, key: object, *value: object, **options: object) -> None:
        """``put(key, value)``, ``put({key: value})``. Raises TypeError, JsException (DataCloneError)."""
        await self._gate.entered()
        if isinstance(key, dict):
            entries.put_many(self._file, key)
        elif not value:
            raise JsException("put() called with undefined value.", "TypeError")
        else:
            entries.put(self._file, key, value[0])

    async def delete(self, key: object, *_: object, **options: object) -> bool | int:
        """Whether it was there; of a list of keys, how many were."""
        await self._gate.entered()
        return entries.delete_many(self._file, key) if isinstance(key, list) else entries.delete(self._file, key)

    async def list(self, *args: object, **options: object) -> JsMap:
        """``list(start, startAfter, end, prefix, reverse, limit)``: in the order of the keys' bytes."""
        given = options_of(args, options, "'list' on 'DurableObjectStorage': parameter 1", "ListOptions")
        await self._gate.entered()
        return JsMap(entries.listed(self._file, given))

    async def getAlarm(self, *_: object, **options: object) -> int | None:
        """When it is due, in ms since 1970; None while its handler runs, unless that has set it anew."""
        await self._gate.entered()
        if not self._file.exists or self._gate.rings:
            return None
        self._file.open()
        return self._file.alarm

    async def setAlarm(self, due: object, *_: object, **options: object) -> None:
        """In ms since 1970, or a datetime; one that has passed is due at once. Raises JsException."""
        when = _due(due)
        await self._gate.entered()
        self._file.open()
        self._file.set_alarm(when)

    async def deleteAlarm(self, *_: object, **options: object) -> None:
        await self._gate.entered()
        if self._file.exists:
            self._file.set_alarm(None)


class DurableObjectTransaction(_Entries):
    """What a ``transaction`` is handed: of what is written in it all is kept, or nothing."""

    def __init__(self, file: ObjectFile, gate: Gate) -> None:
        super().__init__(file, gate)
        self.undone = False

    async def deleteAll(self, *_: object, **options: object) -> NoReturn:
        raise JsException("Cannot call deleteAll() within a transaction")

    def rollback(self) -> None:
        """Nothing of it is kept."""
        self.undone = True
        for name in ("get", "put", "delete", "list", "getAlarm", "setAlarm", "deleteAlarm"):
            setattr(self, name, partial(_rolled_back, name))


async def _rolled_back(method: str, *args: object, **options: object) -> NoReturn:
    raise JsException(f"Cannot {method}() on rolled back transaction")


class DurableObjectStorage(_Entries):
    """https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/"""

    def __init__(self, file: ObjectFile, gate: Gate) -> None:
        super().__init__(file, gate)
        self.sql, self.kv = SqlStorage(file), SyncKvStorage(file)

    async def deleteAll(self, *_: object, **options: object) -> None:
        """Every key, every table, and the alarm."""
        await self._gate.entered()
        entries.forget_all(self._file)

    async def sync(self) -> None:
        """Once everything that was written so far is on the disk."""
        if (waits := self._file.kept()) is not None:
            await waits

    async def transaction(self, work: Callable[[DurableObjectTransaction], Awaitable[T]]) -> T:
        """The result of ``work(txn)``. What it has written is undone when it raises, or calls ``txn.rollback()``."""
        _check_callable("transaction", work)

        async def within() -> T:
            txn = DurableObjectTransaction(self._file, self._gate)
            self._file.savepoint()
            try:
                result = await work(txn)
            except BaseException:
                txn.undone = True
                raise
            finally:
                self._file.release(undo=txn.undone)
            return result

        try:
            found: T = await self._gate.alone(within)
        except JsException:
            raise
        except Exception as error:
            raise JsException(script_trace(error).rstrip(), "PythonError") from error
        return found

    def transactionSync(self, work: Callable[[], T]) -> T:
        """The result of ``work()``. What it has written is undone when it raises."""
        _check_callable("transactionSync", work)
        self._file.savepoint()
        undo = True
        try:
            result = work()
            undo = False
        finally:
            self._file.release(undo=undo)
        return result

    async def getCurrentBookmark(self) -> str:
        """Of a copy that is made now, of all that was written so far. Raises JsException within a transaction."""
        if self._file.in_transaction:
            raise JsException(IN_TRANSACTION)
        self._file.open()

        async def begun() -> apsw.Connection:
            await self.sync()
            return bookmarks.reader(self._file.path)

        try:
            return await bookmarks.copied(self._file.path, await self._gate.alone(begun))
        except (apsw.Error, OSError) as error:
            raise JsException(f"{NOT_COPIED}: {error}") from None

    async def getBookmarkForTime(self, when: object) -> str:
        """Of the newest copy that is kept from then or before: ms since 1970, or a datetime. Raises JsException."""
        moment = _milliseconds(when, "getBookmarkForTime") / 1000
        found = await asyncio.to_thread(bookmarks.copies_of(self._file.path).at, moment)
        if found is None:
            raise JsException(f"{NO_BOOKMARK} from before {datetime.fromtimestamp(moment, UTC).isoformat()}: {KEPT}")
        return found

    async def onNextSessionRestoreBookmark(self, bookmark: object) -> str:
        """When the object is next constructed, it has what it had then. A bookmark of what it has now. Raises
        JsException."""
        name = str(bookmark)
        if await asyncio.to_thread(bookmarks.copies_of(self._file.path).find, name) is None:
            raise JsException(f"{NO_BOOKMARK} for {name[:100]!r}: {KEPT}")
        undo = await self.getCurrentBookmark()
        bookmarks.ask(self._file, name)
        await self.sync()
        return undo


def _check_callable(method: str, work: object) -> None:
    if not callable(work):
        what = f"Failed to execute '{method}' on 'DurableObjectStorage': parameter 1 is not of type 'function'."
        raise JsException(what, "TypeError")


def _due(due: object) -> int:
    if (when := _milliseconds(due, "setAlarm")) <= 0:
        raise JsException(TOO_EARLY, "TypeError")
    return int(when)


def _milliseconds(given: object, method: str) -> float:
    """Since 1970: of that number, a date or a datetime. Raises JsException."""
    if isinstance(given, Date):
        given = given.toDatetime()
    if isinstance(given, datetime):
        given = given.timestamp() * 1000
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise JsException(NO_DATE.format(method), "TypeError")
    return given


__all__ = ["DurableObjectStorage", "DurableObjectTransaction", "Gate"]
