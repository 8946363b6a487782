"""What this process stands on: its standard streams, its folder, its home, its disk. Each may be missing."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from runtime.errors import UserError

DEFAULT_DATA = "~/.pilot-host"  # what a host keeps


def open_streams() -> None:
    """A standard stream that was closed leads nowhere: otherwise the next file or socket would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def check_folder() -> None:
    """Raises ``UserError`` when the folder that this process is in has been removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        what, where = "the folder you are in no longer exists", os.environ.get("PWD", "")  # as the shell remembers it
        raise UserError(what, where=where, remedy="cd to one that does") from None


def expanded(path: str | Path, where: str = "", remedy: str = "Write the whole path.") -> Path:
    """``path`` with its ``~`` resolved. Raises ``UserError`` for a home that nobody has."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise no_home(where, remedy) from None


def no_home(where: str, remedy: str) -> UserError:
    """For a user without an entry in /etc/passwd, as containers have them, and no ``HOME``."""
    return UserError(f"there is no home folder: HOME is not set, and user {os.getuid()} is unknown here",
                     where=where, remedy=remedy)  # fmt: skip


def state_folder(root: Path, persist_to: Path | None = None) -> Path:
    """Where a worker in the folder ``root`` keeps its state."""
    return expanded(persist_to, "--persist-to").absolute() if persist_to else root / ".pilot" / "state"


def cache_folder() -> Path | None:
    """What was fetched, and can be again: ``PILOT_CACHE_DIR``, or the user's own cache. None: there is no home."""
    if override := os.environ.get("PILOT_CACHE_DIR"):
        return Path(override)
    import platformdirs

    with suppress(RuntimeError):
        if (path := platformdirs.user_cache_path("pilotlight")).is_absolute():
            return path
    return None


def sync_folder(folder: Path) -> None:
    """A new name in a folder outlives a fall of the machine once the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "DEFAULT_DATA",
    "cache_folder",
    "check_folder",
    "expanded",
    "no_home",
    "open_streams",
    "state_folder",
    "sync_folder",
]
