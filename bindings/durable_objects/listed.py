"""The objects of a namespace as they lie on the disk: without the process that has them, and beside it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw

from bindings.durable_objects.storage.schema import NAME

_IDS = 64  # characters of an id
_READ = f"SELECT value FROM _cf_METADATA WHERE key = {NAME}"


class Listed(NamedTuple):
    """``size``: bytes, with what is in its log. ``used``: when it was last written to or opened, in s since 1970."""

    id: str
    name: str | None
    size: int
    used: float


def ids(folder: Path) -> list[str]:
    """In order. Those that were asked for and never kept anything have no file."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        names = (entry.name.partition(".") for entry in entries)
        return sorted(id for id, _, end in names if end == "sqlite" and len(id) == _IDS)
    return []


def listed(folder: Path, id: str) -> Listed | None:
    """None: it has gone meanwhile."""
    path = folder / f"{id}.sqlite"
    found = [place.stat() for place in (path, Path(f"{path}-wal")) if place.exists()]
    if not found:
        return None
    return Listed(id, _name(path), sum(one.st_size for one in found), max(one.st_mtime for one in found))


def _name(path: Path) -> str | None:
    """As it was called by whoever opened it; None: by its id alone. Whatever goes wrong, nobody is the worse for it."""
    live = ("mode=ro",) if Path(f"{path}-wal").exists() else ()
    for how in (*live, "immutable=1"):  # nothing is written, nor made
        with suppress(apsw.Error):
            sqlite = apsw.Connection(f"{path.as_uri()}?{how}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            try:
                for (value,) in sqlite.execute(_READ):
                    return str(value)
                return None
            finally:
                sqlite.close()
    return None


__all__ = ["Listed", "ids", "listed"]
