"""``pilot d1 migrations``: files of SQL that are applied in the order of their names, once each.

Which ones are, stands in a table of the database itself, the same as wrangler's.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from bindings.d1.commands.shared import Meant, give_up, not_configured, on_database, print_json, print_table, say
from bindings.d1.dump import literal, quoted
from bindings.d1.product import Table, tables
from bindings.target import Where, with_target
from runtime.errors import UserError


class Folder(NamedTuple):
    """Where the migrations of a database are. ``pattern`` is below ``root``, None: all of the folder's .sql files."""

    root: Path  # of the configuration
    path: Path
    pattern: str | None
    table: str  # of the database

    def names(self) -> list[str]:
        """Of all migrations, in their order."""
        found = self.root.glob(self.pattern) if self.pattern else self.path.glob("*.sql")
        return sorted(path.relative_to(self.path).as_posix() for path in found if path.is_relative_to(self.path))

    async def pending(self, meant: Meant) -> list[str]:
        """Those that are not applied. Raises UserError."""
        await meant.query(
            f"CREATE TABLE IF NOT EXISTS {quoted(self.table)} (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, "
            "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)"
        )
        [found] = await meant.query(f"SELECT name FROM {quoted(self.table)} ORDER BY id")
        applied = {row["name"] for row in found["results"]}
        return [name for name in self.names() if name not in applied]

    async def apply(self, meant: Meant, name: str) -> None:
        """One of them and its record, in one transaction. Raises UserError."""
        record = f"\n;INSERT INTO {quoted(self.table)} (name) VALUES ({literal(name)});\n"
        await meant.script((self.path / name).read_bytes() + record.encode())


@click.group()
def migrations() -> None:
    """Change the schema step by step."""


@migrations.command("create", short_help="Begin a new migration.")
@click.argument("database")
@click.argument("message", nargs=-1, required=True)
@with_target
def create(database: str, message: tuple[str, ...], where: Where) -> None:
    """Make an empty file for the next migration of DATABASE, called after MESSAGE."""
    folder = _folder(where, database)
    title = "_".join(" ".join(message).split())
    if re.search(r"[\\/]", title):
        better = title.replace("/", "-").replace("\\", "-")
        remedy = f"pilot d1 migrations create {database} {better}"
        raise UserError(f"the name {title!r} has a path separator in it", where="MESSAGE", remedy=remedy)
    numbers = [int(found[1]) for name in folder.names() if (found := re.match(r"(\d+)_", name))]
    number = f"{max(numbers, default=0) + 1:04}"
    path = folder.path / f"{number}_{title}.sql"
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(f"-- Migration number: {number} \t {now}\n")
    except OSError as error:
        remedy = "Let this user write there, or set another migrations_dir."
        raise UserError(f"cannot be written: {error.strerror}", where=str(path), remedy=remedy) from None
    say(
        where,
        f"✅ Successfully created Migration '{path.name}'!\n\nThe migration is available for editing here\n{path}",
    )
    if where.as_json:
        print_json({"name": path.name, "path": str(path)})


@migrations.command("list", short_help="Which are not applied.")
@click.argument("database")
@with_target
def list_(database: str, where: Where) -> None:
    """Print the migrations that DATABASE lacks."""
    pending = on_database(where, database, _folder(where, database).pending)
    if where.as_json:
        print_json([{"Name": name} for name in pending])
    elif pending:
        click.echo("Migrations to be applied:")
        print_table([{"Name": name} for name in pending])
    else:
        click.echo("✅ No migrations to apply!")


@migrations.command("apply", short_help="Apply what is pending.")
@click.argument("database")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@with_target
def apply(database: str, yes: bool, where: Where) -> None:
    """Apply the migrations that DATABASE lacks, each in a transaction of its own, until one fails."""
    folder = _folder(where, database)
    pending = on_database(where, database, folder.pending)
    if not pending:
        say(where, "✅ No migrations to apply!")
        if where.as_json:
            print_json([])
        return
    if not where.as_json:
        click.echo("Migrations to be applied:")
        print_table([{"name": name} for name in pending])
        if not yes and sys.stdin.isatty():
            click.confirm(f"About to apply {len(pending)} migration(s). Continue?", abort=True)
    states, failure = dict.fromkeys(pending, "🕒️"), None

    async def use(meant: Meant) -> UserError | None:
        for name in pending:
            try:
                await folder.apply(meant, name)
                states[name] = "✅"
            except UserError as error:
                states[name] = "❌"
                return error
        return None

    failure = on_database(where, database, use)
    rows = [{"name": name, "status": state} for name, state in states.items()]
    if where.as_json:
        print_json(rows)
    else:
        print_table(rows)
    if failure is not None:
        failed = next(name for name, state in states.items() if state == "❌")
        what = f"Migration {failed} failed with the following errors:\n{failure.what}"
        give_up(UserError(what, where=database, remedy="Nothing of it is in the database; those before it are."))


def _folder(where: Where, database: str) -> Folder:
    found = [table for table in tables(where.config) if database in (table.binding, table.database_name)]
    if not found:
        raise not_configured(where.config, database)
    table: Table = found[0]
    root = where.config.root
    return Folder(root, root / table.migrations_dir, table.migrations_pattern, table.migrations_table)


__all__ = ["migrations"]
