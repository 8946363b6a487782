"""The rows of fine-tunes: what is known of each besides its files."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bindings.ai.catalog.models import Model
from bindings.ai.error_table import NO_SUCH_FINETUNE
from bindings.ai.errors import ModelError, bad_input

MAX_FINETUNES = 30
MAX_NAME_CHARS = 512  # characters of a name or a description
SCHEMA = [
    """CREATE TABLE finetune (
        id TEXT PRIMARY KEY, model TEXT NOT NULL, name TEXT UNIQUE NOT NULL, description TEXT NOT NULL,
        public INTEGER NOT NULL, created_at TEXT NOT NULL, modified_at TEXT NOT NULL, version TEXT NOT NULL)"""
]

Row = dict[str, Any]


def client_row(row: Row) -> Row:
    """A row as clients see it."""
    return {name: value for name, value in row.items() if name != "version"}


def new_row(model: Model, fields: Mapping[str, Any]) -> Row:
    if not (name := _text(fields, "name")):
        raise bad_input("required properties at '/' are 'name'")
    public = fields.get("public") or False
    if not isinstance(public, bool):
        raise bad_input("'/public' must be true or false")
    created = now()
    return {
        "id": str(uuid.uuid4()),
        "model": model.id,
        "name": name,
        "description": _text(fields, "description"),
        "public": public,
        "created_at": created,
        "modified_at": created,
        "version": "",
    }


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARS or not value.isprintable():
        raise bad_input(f"'/{name}' must be a string of at most {MAX_NAME_CHARS} printable characters")
    return value


def insert(db: sqlite3.Connection, row: Row) -> None:
    [count] = db.execute("SELECT count(*) FROM finetune").fetchone()
    if count >= MAX_FINETUNES:
        raise bad_input(f"there are {MAX_FINETUNES} finetunes already, which is the most; delete one")
    if db.execute("SELECT 1 FROM finetune WHERE name = ?", (row["name"],)).fetchone():
        raise bad_input(f"a finetune named '{row['name']}' exists already")
    db.execute(f"INSERT INTO finetune VALUES ({', '.join(f':{name}' for name in row)})", row)


def row_of(db: sqlite3.Connection, id: str) -> Row:
    rows = rows_of(db.execute("SELECT * FROM finetune WHERE ?1 IN (id, name) ORDER BY id != ?1", (id,)))
    if not rows:
        raise ModelError(NO_SUCH_FINETUNE, NO_SUCH_FINETUNE.describe(id=id[:100]))
    return rows[0]


def rows_of(cursor: sqlite3.Cursor) -> list[Row]:
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, values, strict=True)) for values in cursor]
    return [{**row, "public": bool(row["public"])} for row in rows]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["SCHEMA", "Row", "client_row", "insert", "new_row", "now", "row_of", "rows_of"]
