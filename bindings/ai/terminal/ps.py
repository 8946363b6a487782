"""``pilot ps``: the models that running servers have loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from bindings.ai.terminal.project import CONFIG, project
from bindings.ai.terminal.servers import Absent, state_of
from runtime.controls import clean, clean_json
from runtime.deploy.api import Host

PORT = 8787
HEADS = ("MODEL", "ENGINE", "STATE", "MEMORY", "REQUESTS", "UP", "DEVICE")


class Server(NamedTuple):
    url: str
    state: Mapping[str, Any]

    @property
    def engines(self) -> Sequence[Mapping[str, Any]]:
        found = self.state["status"].get("engines", ())
        return found if isinstance(found, list) else ()


@click.command(short_help="Models that are loaded on this machine.")
@click.option("--host", metavar="URL", help="Ask this server only. Its token: PILOT_API_TOKEN.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Of the pilot dev. Default: the configuration's.")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ps(host: str | None, port: int | None, config: Path | None, as_json: bool) -> None:
    """Models that a running pilot dev or pilot host has loaded."""
    if host is not None:
        servers = [_server(Host.chosen(host))]
    else:
        port = port or project(config).port or PORT
        servers = list(_running([Host(f"http://127.0.0.1:{port}", ""), Host.chosen(None)]))
        if not servers and not as_json:
            text = f"no pilot dev answers at port {port}, and no pilot host at {Host.chosen(None).url}"
            click.echo(f"{text}\nStart one:  pilot dev\nOr name it:  pilot ps --port PORT, pilot ps --host URL")
            return
    if as_json:
        rows = [{"url": server.url, "onHost": server.state["onHost"], "engines": server.engines} for server in servers]
        click.echo(clean_json(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()))
    else:
        click.echo("\n\n".join("\n".join(_told(server)) for server in servers))


def _server(host: Host) -> Server:
    return Server(host.url, state_of(host))


def _running(hosts: Sequence[Host]) -> Iterator[Server]:
    for host in hosts:
        try:
            yield _server(host)
        except Absent as error:
            if not error.nobody:
                click.echo(f"{host.url}: {error.what}; --host {host.url} asks it alone", err=True)


def _told(server: Server) -> Iterator[str]:
    workers = ", ".join(worker["name"] for worker in server.state["workers"])
    kind = "host" if server.state["onHost"] else "dev"
    yield click.style(f"pilot {kind} at {server.url}", bold=True) + (f", with {clean(workers)}" if workers else "")
    if not server.engines:
        yield "no model is loaded: the first request that needs one loads it"
        return
    rows = [HEADS, *map(_row, server.engines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for engine in server.engines:
        if why := engine.get("why"):
            yield clean(f"{engine['name']} is {engine['state']}: {why}")


def _row(engine: Mapping[str, Any]) -> tuple[str, ...]:
    memory, restarts, gpus = engine.get("memory_mb"), engine.get("restarts"), engine.get("gpus")
    node = engine.get("node")
    cells = (
        engine.get("models") or "-", engine["name"],
        engine["state"] + (f", restarts: {restarts}" if restarts else ""),
        "-" if memory is None else f"{memory:,} MB",
        engine["live"], _age(engine.get("up_s")),
        (engine["device"] or "-") + (f", GPU {gpus}" if gpus else "") + (f" on {node}" if node else ""),
    )  # fmt: skip
    return tuple(clean(str(cell)) for cell in cells)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


__all__ = ["ps"]
