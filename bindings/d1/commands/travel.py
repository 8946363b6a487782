"""``pilot d1 time-travel``: keep a copy of a database, and go back to one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click

from bindings.d1.commands.shared import Meant, on_database, print_json, say
from bindings.target import Where, with_target
from runtime.errors import UserError


@click.group("time-travel")
def time_travel() -> None:
    """Keep a database as it is now, and go back to it later."""


@time_travel.command(short_help="Keep a copy, and print its bookmark.")
@click.argument("database")
@click.option("--timestamp", metavar="TIME", help="Seconds since 1970 or ISO 8601: the newest copy kept until then.")
@with_target
def info(database: str, timestamp: str | None, where: Where) -> None:
    """Keep a copy of DATABASE as it is now, and print the bookmark that leads back to it.

    The twenty newest copies are kept, for thirty days.
    """
    found = on_database(where, database, lambda meant: _bookmark(meant, timestamp))
    if where.as_json:
        print_json({"bookmark": found})
        return
    said = f"Timestamp '{timestamp}' corresponds with bookmark" if timestamp else "The current bookmark is"
    click.echo(f"🚧 Time Traveling...\n⚠️ {said} '{found}'")
    click.echo(
        f"⚡️ To restore to this specific bookmark, run:\n pilot d1 time-travel restore {database} --bookmark={found}"
    )


@time_travel.command(short_help="Go back to a copy.")
@click.argument("database")
@click.option("--bookmark", help="The copy, as info has printed it.")
@click.option("--timestamp", metavar="TIME", help="The newest copy kept until then.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@with_target
def restore(database: str, bookmark: str | None, timestamp: str | None, yes: bool, where: Where) -> None:
    """Make DATABASE what it was. What it has been until now is kept as well."""
    if (bookmark is None) == (timestamp is None):
        raise click.UsageError("give --bookmark or --timestamp")
    say(where, f"⚠️ This will overwrite all data in database {database}.")
    if not yes and not where.as_json and sys.stdin.isatty():
        click.confirm("OK to proceed", abort=True)

    async def use(meant: Meant) -> dict[str, Any]:
        wanted = bookmark or await _bookmark(meant, timestamp)
        path = f"{meant.path}/time_travel/restore?{urlencode({'bookmark': wanted})}"
        found: dict[str, Any] = await meant.target.call("POST", path)
        return found

    done = on_database(where, database, use)
    if where.as_json:
        print_json(done)
        return
    click.echo(f"✅ Database {database} restored back to bookmark {done['bookmark']}")
    click.echo(f"↩️ To undo this operation, you can restore to the previous bookmark: {done['previous_bookmark']}")


async def _bookmark(meant: Meant, timestamp: str | None) -> str:
    query = f"?{urlencode({'timestamp': _moment(timestamp)})}" if timestamp else ""
    found = await meant.target.call("GET", f"{meant.path}/time_travel/bookmark{query}")
    return str(found["bookmark"])


def _moment(text: str) -> str:
    """ISO 8601 of a timestamp. Raises UserError."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / (1000 if len(text) > 10 else 1), UTC).isoformat()
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise UserError(f"Invalid timestamp '{text}'", where="--timestamp",
                        remedy="Write seconds since 1970, or:  2026-11-27T08:46:42Z") from None  # fmt: skip


__all__ = ["time_travel"]
