"""What the commands have in common: which database is meant, and how something is said."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import quote

import click
import msgspec

from bindings.d1.product import Table, deployed_id, local_id, tables
from bindings.d1.rest.api import local_api
from bindings.target import Target, Where
from runtime.config import Config
from runtime.errors import ConfigError, UserError

T = TypeVar("T")
CHUNK_BYTES = 256 * 1024
ROOT = "d1/database"


class Meant(NamedTuple):
    """A database that a command is about. ``table``: of the configuration, if it is in there."""

    name: str  # as it was called
    id: str
    table: Table | None
    target: Target

    @property
    def path(self) -> str:
        """Of the API, below the account."""
        return f"{ROOT}/{quote(self.id, '')}"

    @property
    def place(self) -> str:
        return "local database" if self.target.is_local else "database"

    async def query(self, sql: str, params: Sequence[str] = ()) -> list[dict[str, Any]]:
        """A result for each statement. Raises UserError."""
        body = {"sql": sql, "params": params} if params else {"sql": sql}
        found: list[dict[str, Any]] = await self.target.call("POST", f"{self.path}/query", body)
        return found

    async def script(self, content: bytes) -> dict[str, Any]:
        """SQL of any length, in one transaction: ``{num_queries, final_bookmark, meta}``. Raises UserError."""
        begun = await self.target.call("POST", f"{self.path}/import", {"action": "init"})
        file = f"{self.path}/import/{begun['filename']}"
        with self.target.where.bar(len(content)) as done:
            put = await self.target.opened(await self.target.send("PUT", file, _pieces(content, done)))
        body = {"action": "ingest", "filename": begun["filename"], "etag": put["result"]["etag"]}
        done = await self.target.call("POST", f"{self.path}/import", body)
        if done["status"] != "complete":
            remedy = "Nothing of the file is in the database: mend it, and send it again."
            raise UserError(done["error"], where=self.target.name, remedy=remedy)
        result: dict[str, Any] = done["result"]
        return result


@click.group(short_help="Work with D1 databases.")
def d1() -> None:
    """Work with D1 databases: of the worker here, also while it is served, or of a host."""


def on_database(where: Where, name: str, use: Callable[[Meant], Awaitable[T]]) -> T:
    """What ``use`` gives for the database that is called ``name``, or bound as it. Raises UserError."""
    table = _table(where, name)

    async def work(target: Target) -> T:
        if table is None:
            return await use(Meant(name, await _known(target, where, name), None, target))
        id = local_id(table) if target.is_local else deployed_id(where.config, table)
        return await use(Meant(name, id, table, target))

    return where.run(local_api, work)


def _table(where: Where, name: str) -> Table | None:
    try:
        config = where.config
    except ConfigError:
        if where.host is None:
            raise
        return None  # of a host, anything can be named
    found = [table for table in tables(config) if name in (table.binding, table.database_name)]
    return found[0] if found else None


async def _known(target: Target, where: Where, name: str) -> str:
    """The id of one that no configuration has. Raises UserError."""
    for row in await all_databases(target):
        if name in (row["uuid"], row["name"]):
            return str(row["uuid"])
    if not target.is_local:
        raise UserError(f"Couldn't find a D1 DB with name or binding '{name}' in your config or the API.",
                        where=target.name, remedy=f"pilot d1 create {name} --host {target.name}")  # fmt: skip
    raise not_configured(where.config, name)


def not_configured(config: Config, name: str) -> UserError:
    """As Wrangler says it."""
    file = config.path.name if config.path else "configuration"
    what = f"Couldn't find a D1 DB with the name or binding '{name}' in your {file} file."
    known = ", ".join(table.binding for table in tables(config))
    return UserError(what, where=name, remedy=f"Name one that is there: {known}" if known else "Add [[d1_databases]].")


async def all_databases(target: Target) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := await target.call("GET", f"{ROOT}?per_page=1000&page={1 + len(found) // 1000}"):
        found += page
        if len(page) < 1000:
            break
    return found


def say(where: Where, text: str) -> None:
    """To a person."""
    if not where.as_json:
        click.echo(text)


def give_up(error: UserError) -> NoReturn:
    """As wrangler, with 1: the command was right, and what it asked for failed."""
    click.echo(f"error {error}", err=True)
    sys.exit(1)


def print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Text where nobody looks, a table in a terminal."""
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(*(rows[0] if rows else ()))
    for row in rows:
        grid.add_row(*(shown(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 120).print(grid)


def shown(value: object) -> str:
    if isinstance(value, str):
        return value
    return "NULL" if value is None else msgspec.json.encode(value).decode()


async def _pieces(content: bytes, done: Callable[[int], object]) -> AsyncIterator[bytes]:
    for at in range(0, len(content), CHUNK_BYTES):
        piece = content[at : at + CHUNK_BYTES]
        yield piece
        done(len(piece))


def read_sql(path: Path) -> bytes:
    """Raises UserError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "Name a file that is there:  --file PATH"
        raise UserError(f"Unable to read SQL text file: {error.strerror}", where=str(path), remedy=remedy) from None
    if content.startswith(b"SQLite format 3"):
        raise UserError("it is a binary SQLite database, and SQL text is wanted", where=str(path),
                        remedy=f"sqlite3 {path.name} .dump > {path.stem}.sql")  # fmt: skip
    return content


__all__ = [
    "Meant",
    "all_databases",
    "d1",
    "give_up",
    "on_database",
    "print_json",
    "print_table",
    "read_sql",
    "say",
    "shown",
]
