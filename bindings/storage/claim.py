"""Who serves from a state folder: one supervisor at a time; commands may look and write beside it.

The lock is the kernel's and goes with the process, however that ends; what is written in the file is for people.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from runtime.errors import UserError

LOCK = "lock"


class Holder(msgspec.Struct):
    """The process that has the folder; ``since``: ISO 8601."""

    pid: int
    since: str


def claim(state: Path) -> int:
    """The descriptor that holds the lock. Raises UserError: another process has it, or it cannot be written."""
    lock = _open(state)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(
            f"{_said(holder(state))} keeps its state there",
            where=str(state),
            remedy="Stop that one, or give this one a folder of its own:\n"
            "pilot dev --persist-to DIR   or:  --no-persist",
        ) from None
    os.ftruncate(lock, 0)
    told = Holder(os.getpid(), datetime.now().astimezone().isoformat(timespec="seconds"))
    os.pwrite(lock, msgspec.json.encode(told), 0)
    return lock


def holder(state: Path) -> Holder | None:
    """Who has the folder, or had it last."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((state / LOCK).read_bytes(), type=Holder)
    return None


def _open(state: Path) -> int:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(state), remedy="pilot dev --persist-to DIR"
        ) from None


def _said(found: Holder | None) -> str:
    return "another process" if found is None else f"process {found.pid} (since {found.since})"


__all__ = ["LOCK", "Holder", "claim", "holder"]
