"""``pilot d1 list``, ``create``, ``info`` and ``delete``."""

from __future__ import annotations

import sys
from typing import Any

import click

from bindings.d1.commands.shared import ROOT, Meant, all_databases, on_database, print_json, print_table, say
from bindings.d1.rest.api import local_api
from bindings.target import Where, with_target


@click.command("list", short_help="List databases.")
@with_target
def list_(where: Where) -> None:
    """Print the databases that are there."""
    found = where.run(local_api, all_databases)
    if where.as_json:
        print_json(found)
    elif found:
        print_table([{"uuid": row["uuid"], "name": row["name"], "created_at": row["created_at"]} for row in found])
    else:
        click.echo("No databases yet. To make one:  pilot d1 create NAME")


@click.command(short_help="Create a database.")
@click.argument("name")
@with_target
def create(name: str, where: Where) -> None:
    """Create a database called NAME, and say what to write into the configuration."""
    made = where.run(local_api, lambda target: target.call("POST", ROOT, {"name": name}))
    shown = f'[[d1_databases]]\nbinding = "DB"\ndatabase_name = "{name}"\ndatabase_id = "{made["uuid"]}"'
    say(where, f"✅ Successfully created DB '{name}'\n\nAdd this to your configuration:\n{shown}")
    if where.as_json:
        print_json(made)


@click.command(short_help="What is known of a database.")
@click.argument("database")
@with_target
def info(database: str, where: Where) -> None:
    """Print what is known of DATABASE."""

    async def use(meant: Meant) -> dict[str, Any]:
        found: dict[str, Any] = await meant.target.call("GET", meant.path)
        return found

    found = on_database(where, database, use)
    if where.as_json:
        print_json(found)
    else:
        print_table([{"": name, "value": value} for name, value in found.items()])


@click.command(short_help="Delete a database.")
@click.argument("database")
@click.option("-y", "--skip-confirmation", is_flag=True, help="Do not ask.")
@with_target
def delete(database: str, skip_confirmation: bool, where: Where) -> None:
    """Delete DATABASE with all that is in it and all copies."""

    async def use(meant: Meant) -> str:
        if not skip_confirmation and sys.stdin.isatty():
            click.confirm(f"Delete {database} ({meant.id}) and all its data?", abort=True)
        await meant.target.call("DELETE", meant.path)
        return meant.id

    id = on_database(where, database, use)
    say(where, f"Deleted '{database}' successfully.")
    if where.as_json:
        print_json({"uuid": id})


__all__ = ["create", "delete", "info", "list_"]
