"""Linux's word on what changes in folders (inotify(7)), read by the event loop: no thread, and nothing wakes without a
change."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.errors import UserError

Changes = set[tuple[bool, Path]]
"""(whether it was there before and is there still, path)."""

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = (
    0x2, 0x4, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,
)  # fmt: skip
_EDITS = _MODIFY | _ATTRIB
_MASK = _EDITS | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_GONE, _OVERFLOW = 0x8000, 0x4000  # no longer watched; events were lost
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, bytes of the name behind it
_REMEDY = "Let it:  sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"
_READ_BYTES = 64 * 1024
_QUIET_S, _MOST_S = 0.002, 0.05  # without a change, before what there was is told; that it may take in all


class Inotify:
    """Calls ``put`` with what changes in ``folders``. Raises FileNotFoundError where one of them has gone, UserError
    where they are too many."""

    ended = False

    def __init__(self, folders: Sequence[Path], put: Callable[[Changes], None]) -> None:
        self._put, self._loop = put, asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._changes: Changes = set()
        self._first = 0.0  # of these, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            self._watched = {watch: path for path in folders if (watch := self._watch(path)) is not None}
        except Exception:
            os.close(self._descriptor)
            raise
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """What it has not told yet is told."""
        with suppress(BlockingIOError):
            self._read()
        if self._timer is not None:
            self._timer.cancel()
            self._tell()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _watch(self, path: Path) -> int | None:
        """None: it may not be read, and so nor what is in it."""
        try:
            return self._checked(self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _MASK))
        except PermissionError:
            return None

    def _checked(self, result: int) -> int:
        if result < 0 and (number := ctypes.get_errno()) in (errno.ENOSPC, errno.EMFILE):
            raise UserError(
                "the system watches no more folders for you: saves are not seen", where="inotify", remedy=_REMEDY
            )
        if result < 0:
            raise OSError(number, os.strerror(number))
        return result

    def _read(self) -> None:
        found = {change for event in _events(os.read(self._descriptor, _READ_BYTES)) for change in self._of(*event)}
        now = self._loop.time()
        if not self._changes:
            self._first = now
        self._changes |= found
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(min(now + _QUIET_S, self._first + _MOST_S), self._tell)

    def _of(self, watch: int, mask: int, name: bytes) -> Changes:
        """What an event says. Of those that were lost, that any folder may have changed."""
        if mask & _OVERFLOW:
            return {(False, path) for path in self._watched.values()}
        if mask & _GONE or (folder := self._watched.get(watch)) is None:
            return set()
        return {(not mask & (_MASK & ~_EDITS), folder / os.fsdecode(name))}

    def _tell(self) -> None:
        self._timer, changes, self._changes = None, self._changes, set()
        if changes:
            self._put(changes)


def _events(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Watch, mask and name of each."""
    at = 0
    while at < len(content):
        watch, mask, _, size = _EVENT.unpack_from(content, at)
        at += _EVENT.size + size
        yield watch, mask, content[at - size : at].rstrip(b"\0")


__all__ = ["Changes", "Inotify"]
