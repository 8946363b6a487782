"""LoRA fine-tunes: a row in SQLite each, and a folder with the adapter's two files.

Facts: docs/reference/workers-ai.md#fine-tunes.

A file is written beside its place and checked there; only a good one is moved in, into a new folder, so that an
engine never reads one that changes, and knows by its path that an adapter is another one than before. Folders
are named by UUIDs, files by the two names there are: no text of a client's becomes a path.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bindings.ai.catalog.models import Model
from bindings.ai.error_table import FINETUNE_INCOMPLETE, NO_SUCH_FINETUNE
from bindings.ai.errors import ModelError, bad_input, finetunes_lost
from bindings.ai.finetunes import adapter, form_file
from bindings.ai.finetunes.adapters import refuse_without_lora
from bindings.ai.finetunes.rows import SCHEMA, Row, client_row, insert, new_row, now, row_of, rows_of
from bindings.sqlite import Database, StoreError

MAX_FILE_BYTES = 500_000_000
ORDERS = ("created_at", "modified_at", "name", "model", "id")

T = TypeVar("T")


class Finetunes:
    """The adapters of this machine, under ``folder``: ``<id>/<version>/``. ``warn(text)`` hears of a broken disk.

    Every method raises ModelError 3043 for one.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._database = Database(folder / "finetunes.sqlite", SCHEMA)

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.do(work)
        except StoreError as error:
            self._warn(f"the fine-tunes cannot be used: {error}")
            raise finetunes_lost() from None

    async def create(self, model: Model, fields: Mapping[str, Any]) -> Row:
        """A fine-tune without files yet. Raises ModelError: bad fields (5006), a model that takes none (5005)."""
        refuse_without_lora(model)
        row = new_row(model, fields)
        await self._do(lambda db: insert(db, row))
        return client_row(row)

    async def listed(
        self, *, public: bool = False, order: str = "created_at", limit: int = -1, offset: int = 0
    ) -> list[Row]:
        """All of them, or the public ones. ``order``: one of ``ORDERS``."""
        assert order in ORDERS
        query = f"SELECT * FROM finetune WHERE public >= ? ORDER BY {order}, id LIMIT ? OFFSET ?"
        rows = await self._do(lambda db: rows_of(db.execute(query, (public, limit, offset))))
        return [client_row(row) for row in rows]

    async def get(self, id: str) -> Row:
        """The fine-tune of this id or name. Raises ModelError 3042."""
        return await self._do(lambda db: row_of(db, id))

    async def delete(self, id: str) -> None:
        """Forget it, files and all: an engine that has loaded it keeps it until it needs the room. ModelError 3042."""
        row = await self.get(id)
        await self._do(lambda db: db.execute("DELETE FROM finetune WHERE id = ?", (row["id"],)))
        await asyncio.to_thread(shutil.rmtree, self._folder / row["id"], ignore_errors=True)

    async def receive(self, id: str, chunks: AsyncIterator[bytes], content_type: str) -> None:
        """Keep the file in a form, checked. Raises ModelError: unknown (3042), bad (5006), too large (3006)."""
        row = await self.get(id)
        place = self._folder / row["id"]
        part = place / f"{uuid.uuid4()}.part"
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        try:
            name = await form_file.receive(chunks, content_type, part, MAX_FILE_BYTES)
            if name not in adapter.CHECKS:
                raise bad_input(f"file_name must be one of '{', '.join(adapter.CHECKS)}'")
            await asyncio.to_thread(adapter.CHECKS[name], part, row["model"])
            await self._do(lambda db: self._keep(db, row["id"], name, part))
        finally:
            part.unlink(missing_ok=True)

    async def find(self, lora: str, model: Model) -> str:
        """The folder of the adapter with this id or name. Raises ModelError: no such one, or of another model (5006),
        one without its files (3039), a model that takes none (5005)."""
        refuse_without_lora(model)
        try:
            row = await self.get(lora)
        except ModelError as error:
            raise bad_input(error.description) if error.row is NO_SUCH_FINETUNE else error from None
        if row["model"] != model.id:
            raise bad_input(f"the finetune '{row['name']}' is of {row['model']}, not of {model.id}")
        place = self._folder / row["id"] / row["version"]
        if not row["version"] or not all((place / name).is_file() for name in adapter.CHECKS):
            files = " and ".join(adapter.CHECKS)
            raise ModelError(FINETUNE_INCOMPLETE, FINETUNE_INCOMPLETE.describe(files=files))
        return str(place)

    def _keep(self, db: sqlite3.Connection, id: str, name: str, part: Path) -> None:
        """A new version with this file and the other one, if there is one. In the database's thread, alone."""
        row = row_of(db, id)
        old, version = self._folder / id / row["version"], str(uuid.uuid4())
        new = self._folder / id / version
        new.mkdir()
        for other in adapter.CHECKS.keys() - {name}:
            if row["version"] and (old / other).is_file():
                os.link(old / other, new / other)
        os.replace(part, new / name)
        db.execute("UPDATE finetune SET version = ?, modified_at = ? WHERE id = ?", (version, now(), id))
        if row["version"]:
            shutil.rmtree(old, ignore_errors=True)


__all__ = ["MAX_FILE_BYTES", "ORDERS", "Finetunes"]
