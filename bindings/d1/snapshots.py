"""Copies of a database as it was: D1's Time Travel, for the moments that someone asked to keep.

A bookmark names a copy. It is made when the bookmark is asked for, and before a restore, so that this can be undone.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bindings.d1.sql.connection import Connection
from bindings.d1.sql.errors import D1Error
from bindings.storage.sql import copies

FOLDER = "snapshots"


class Snapshots:
    """Everything here runs in a thread."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._copies = copies.Copies(folder / FOLDER, mark)

    def take(self, reader: Connection) -> str:
        """Its bookmark."""
        return self._copies.take(reader.sqlite)

    def find(self, bookmark: str) -> Path:
        """Its file. Raises D1Error: there is none of that name."""
        if (path := self._copies.find(bookmark)) is None:
            raise D1Error(f"no snapshot is kept for the bookmark {bookmark[:100]!r}")
        return path

    def restore(self, writer: Connection, bookmark: str) -> None:
        """Raises D1Error: there is none of that name."""
        copies.restore(self.find(bookmark), writer.sqlite)

    def at(self, moment: datetime) -> str:
        """The bookmark of the newest copy that is not younger. Raises D1Error."""
        if (bookmark := self._copies.at(moment.timestamp())) is None:
            raise D1Error(f"no snapshot is kept from before {moment.isoformat()}")
        return bookmark


__all__ = ["Snapshots"]
