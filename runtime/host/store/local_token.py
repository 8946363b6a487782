"""The token that a host keeps for commands on its own machine, in a file of its data folder that its user alone reads.

While it runs, the host holds that folder's lock, and the lock's file says where the host listens. So a command knows
before it sends the token that it goes to this host, and to no other process that has taken the address meanwhile.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

FILE, LOCK = "token", "lock"
_MAX_URL_BYTES = 512  # the whole file, so that it is written in place


def keep(data: Path, token: str) -> Path:
    """The file it is in then: all of it, or what was there before. Raises OSError."""
    file, new = data / FILE, data / f"{FILE}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"{token}\n")
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    return file


def announce(lock: int, url: str) -> None:
    """``lock``: the descriptor of the lock's file. ``url``: where the host listens."""
    with suppress(OSError):  # on a full disk a host starts all the same, and commands need to be told the token
        os.pwrite(lock, url.encode().ljust(_MAX_URL_BYTES), 0)


def find(data: Path, url: str) -> str:
    """The token of the host that listens at ``url`` and keeps its data in ``data``; "": it is not that one, or its
    file is another user's."""
    try:
        with open(data / LOCK, "rb") as lock:
            if not (_is_held(lock.fileno()) and _leads_to(url, lock.read(_MAX_URL_BYTES).decode().strip())):
                return ""
        return (data / FILE).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _is_held(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _leads_to(url: str, listening: str) -> bool:
    """Whether ``url`` is an address on which a host that says so listens. A name could lead elsewhere."""
    ours, theirs = urlsplit(url), urlsplit(listening)
    try:
        there = ipaddress.ip_address(ours.hostname or "")
        bound = ipaddress.ip_address("127.0.0.1" if theirs.hostname == "localhost" else theirs.hostname or "")
    except ValueError:
        return False
    everywhere = bound.is_unspecified and there.is_loopback and there.version == bound.version
    return (ours.scheme, ours.port) == (theirs.scheme, theirs.port) and (there == bound or everywhere)


__all__ = ["FILE", "LOCK", "announce", "find", "keep"]
