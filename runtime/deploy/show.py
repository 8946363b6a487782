"""What the deploy commands print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from bindings.deploying import Sent, Shipment
from runtime.controls import clean, clean_json
from runtime.deploy.tree import Tree

_MAX_LISTED_FILES = 5  # files named by their size


def sizes(name: str, tree: Tree, requirements: Sequence[str]) -> None:
    """How much is sent, what of it is large, what is not, and what the host is to install."""
    files = tree.files
    click.echo(f"{name}: {len(files)} file{'s' if len(files) != 1 else ''}, {_size(sum(map(len, files.values())))}")
    if len(files) > 1:
        for path in sorted(files, key=lambda path: -len(files[path]))[:_MAX_LISTED_FILES]:
            click.echo(f"  {_size(len(files[path])):>9}  {path}")
    if tree.linked:
        click.echo(f"  among them, from elsewhere: {_some(tree.linked)}")
    if tree.ignored:
        click.echo(f"  stays here, as .gitignore says: {_some(tree.ignored)}")
    if requirements:
        click.echo(f"  and {len(requirements)} packages: {', '.join(pin.partition(' ')[0] for pin in requirements)}")


def shipments(shipments: Iterable[Shipment]) -> None:
    for shipment in shipments:
        for line in shipment.lines:
            click.echo(line)


def warnings(lines: Iterable[str]) -> None:
    """As `pilot dev` has them, on standard error."""
    for line in lines:
        click.echo(f"{click.style('▲', fg='yellow')} {line}", err=True)


def told(line: str) -> None:
    """Of what is said while versions are chosen, what is a warning."""
    if line.startswith("warning:"):
        warnings([line.removeprefix("warning:").strip()])


@contextmanager
def progress(name: str) -> Iterator[Sent]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"uploading {name}")
        yield lambda done, whole: bar.update(
            task, completed=done, total=whole, description=f"uploading {name}" if done < whole else f"opening {name}"
        )


def deployed(name: str, result: Mapping[str, Any], urls: Sequence[str]) -> None:
    click.echo(f"{click.style('deployed', fg='green')} {name} in {result['startup_time_ms']} ms")
    for url in urls:
        click.echo(f"  {clean(url)}")
    click.echo(f"  version {_uuid(result['deployment_id'])}")


def versions(items: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        return dump(items)
    rows = [
        [
            str(item["number"]),
            item["id"],
            item["metadata"]["created_on"][:19],
            item["metadata"]["author_email"],
            item["annotations"].get("workers/tag", ""),
            item["annotations"].get("workers/message", ""),
        ]
        for item in items
    ]
    _table(["#", "version", "created", "by", "tag", "message"], rows)


def deployments(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        return dump(rows)
    lines = [
        [
            row["created_on"][:19],
            " + ".join(map(_share, row["versions"])),
            row["author_email"],
            row["annotations"].get("workers/message", ""),
        ]
        for row in rows
    ]
    _table(["since", "versions", "by", "message"], lines)


def status(report: Mapping[str, Any], url: str) -> None:
    click.echo(f"{url}   pilot {report['version']}, up {report['up_s']:.0f} s")
    lines = [
        [
            row["name"],
            row["state"],
            str(row["version"]),
            str(row["isolates"]),
            str(row["requests"]),
            str(row["failed"]),
            row["url"],
        ]
        for row in report["workers"]
    ]
    _table(["worker", "state", "version", "isolates", "requests", "failed", "url"], lines)
    for head, rows in report.items():
        if isinstance(rows, list) and rows and head != "workers":
            _section(head, rows)


def _section(head: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A product's part of the status: its rows have the same keys, the first of which names the thing."""
    keys = list(rows[0])
    _table([head, *keys[1:]], [["" if row[key] is None else str(row[key]) for key in keys] for row in rows])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(clean, row))
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


def dump(value: object) -> None:
    """As JSON."""
    click.echo(clean_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED_FILES} more" if len(names) > _MAX_LISTED_FILES else ""
    return ", ".join(names[:_MAX_LISTED_FILES]) + more


def _share(item: Mapping[str, Any]) -> str:
    return f"{item['version_id']} {item['percentage']:g}%"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _uuid(compact: str) -> str:
    import uuid

    return str(uuid.UUID(compact))
