"""A disk of a few megabytes for one process: a tmpfs in a mount namespace of its own, which needs no privilege."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000  # unshare(2)
_READ_ONLY, _REMOUNT, _BIND = 0x1, 0x20, 0x1000  # mount(2)
_libc = ctypes.CDLL(None, use_errno=True)


def small_disk(folder: Path, megabytes: int) -> Callable[[], None]:
    """What the new process runs before it is the host: ``folder`` is a small disk to it, and to its children."""
    folder.mkdir(parents=True, exist_ok=True)

    def mounted() -> None:
        _own_mounts()
        _checked(_libc.mount(b"pilot", os.fsencode(folder), b"tmpfs", 0, f"size={megabytes}m".encode()))

    return mounted


def read_only(*folders: Path) -> Callable[[], None]:
    """What the new process runs before all else: to it, and to its children, none of these can be written to."""

    def mounted() -> None:
        _own_mounts()
        for path in map(os.fsencode, folders):
            _checked(_libc.mount(path, path, None, _BIND, None))
            _checked(_libc.mount(None, path, None, _BIND | _REMOUNT | _READ_ONLY, None))

    return mounted


def may_mount() -> bool:
    """Whether this kernel lets anybody do so."""
    code = "import disk, pathlib, tempfile\ndisk.small_disk(pathlib.Path(tempfile.mkdtemp()) / 'x', 1)()"
    return subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True).returncode == 0


def _own_mounts() -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(_NEW_USER | _NEW_MOUNTS))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)


def seen_by(pid: int, path: Path) -> Path:
    """A path as that process sees it."""
    return Path(f"/proc/{pid}/root{path}")


def fill(folder: Path, left: int = 0) -> Path:
    """A file beside which ``left`` bytes fit and no more: a database's log is empty, and every page is taken."""
    with closing(connect(folder / "host.db")) as registry:
        registry.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    filler, size = folder / "filler", 1 << 20
    with filler.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
        file.truncate(max(0, file.tell() - left))
    return filler


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
