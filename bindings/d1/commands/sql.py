"""``pilot d1 execute`` and ``export``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from bindings.d1.commands.shared import Meant, give_up, on_database, print_json, print_table, read_sql, say
from bindings.target import Where, with_target
from runtime.errors import UserError

QUERY_BYTES = 100_000  # a larger file is sent as one, and answered by its totals


@click.command(short_help="Run SQL.")
@click.argument("database")
@click.option("--command", metavar="SQL", help="One statement or several.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="A file with statements.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
@with_target
def execute(database: str, command: str | None, file: Path | None, yes: bool, where: Where) -> None:
    """Run SQL in DATABASE, named as in the configuration or by its binding: all of it or nothing."""
    if (command is None) == (file is None):
        raise click.UsageError("give --command SQL or --file FILE")
    content = (command or "").encode() if file is None else read_sql(file)

    async def use(meant: Meant) -> list[dict[str, Any]]:
        say(where, f"🌀 Executing on {meant.place} {database} ({meant.id}) of {meant.target.name}:")
        if len(content) <= QUERY_BYTES:
            return [_result(meant, one) for one in await meant.query(content.decode())]
        return [_totals(await meant.script(content))]

    try:
        results = on_database(where, database, use)
    except UserError as error:
        if where.as_json:
            print_json({"error": {"text": error.what}})
            sys.exit(1)
        give_up(error)
    count = len(results)
    say(where, f"🚣 {count} command{'' if count == 1 else 's'} executed successfully.")
    if where.as_json or not sys.stdout.isatty():
        print_json(results)
        return
    for result in filter(None, (one["results"] for one in results)):
        print_table(result)


def _result(meant: Meant, one: dict[str, Any]) -> dict[str, Any]:
    meta = {"duration": one["meta"]["duration"]} if meant.target.is_local else one["meta"]
    return {"results": one["results"], "success": one["success"], "meta": meta}


def _totals(done: dict[str, Any]) -> dict[str, Any]:
    meta = done["meta"]
    row = {"Total queries executed": done["num_queries"], "Rows read": meta["rows_read"],
           "Rows written": meta["rows_written"], "Database size (MB)": f"{meta['size_after'] / 1e6:.2f}"}  # fmt: skip
    return {"results": [row], "success": True, "finalBookmark": done["final_bookmark"], "meta": meta}


@click.command(short_help="Write a database down as SQL.")
@click.argument("database")
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--table", "tables", multiple=True, help="That one alone; may be repeated.")
@click.option("--no-schema", is_flag=True, help="Rows alone.")
@click.option("--no-data", is_flag=True, help="The schema alone.")
@with_target
def export(database: str, output: Path, tables: tuple[str, ...], no_schema: bool, no_data: bool, where: Where) -> None:
    """Write DATABASE, as of one moment, into a file of SQL that makes it again."""
    if no_schema and no_data:
        raise click.UsageError("--no-schema and --no-data leave nothing")
    options = {"no_schema": no_schema, "no_data": no_data, "tables": tables}

    async def use(meant: Meant) -> None:
        say(where, f"🌀 Exporting {meant.place} {database} ({meant.id}) of {meant.target.name} to {output}...")
        made = await meant.target.call("POST", f"{meant.path}/export", {"dump_options": options})
        if made["status"] != "complete":
            tables_there = f'pilot d1 execute {database} --command "PRAGMA table_list"'
            raise UserError(made["error"], where=database, remedy=f"What there is:  {tables_there}")
        answer = await meant.target.send("GET", f"{meant.path}/export/{quote(made['result']['filename'])}")
        if answer.status != 200:
            await meant.target.opened(answer)
        with _written(output) as file, where.bar(answer.size) as done:
            async for chunk in answer.chunks:
                await asyncio.to_thread(file.write, chunk)
                done(len(chunk))

    on_database(where, database, use)
    say(where, "Done!")
    if where.as_json:
        print_json({"output": str(output), "bytes": output.stat().st_size})


def _written(output: Path) -> Any:
    try:
        return open(output, "wb")
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(output), remedy="Name another:  --output FILE"
        ) from None


__all__ = ["execute", "export"]
