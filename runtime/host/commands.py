"""``pilot host``: parse, call, print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtime.controls import clean
from runtime.places import DEFAULT_DATA, expanded
from runtime.product_options import ProductOptions

T = TypeVar("T")

if TYPE_CHECKING:
    from runtime.host.front import HostOptions
    from runtime.host.store.registry import Registry
    from runtime.supervisor.limits import Limits
    from runtime.supervisor.observe import LogFormat
    from runtime.supervisor.observe.base import Observer

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(DEFAULT_DATA),
    envvar="PILOT_DATA",
    show_default=True,
    help="Everything the host keeps.",
)
DATA_REMEDY = "pilot host --data FOLDER   or:  export PILOT_DATA=FOLDER"


class _HostGroup(ProductOptions, click.Group):
    """``pilot host`` serves; its commands do not."""


@click.group(cls=_HostGroup, invoke_without_command=True)
@DATA
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=8788, show_default=True, help="0: a free one.")
@click.option("--domain", default="localhost", show_default=True, help="NAME.DOMAIN is the worker NAME.")
@click.option("--hostname", "hostnames", multiple=True, metavar="NAME", help="The host's own: deploys go there.")
@click.option(
    "--isolates", type=click.IntRange(0, 64), default=0, help="Processes of each version. Default: cores, up to 4."
)
@click.option("--allow", multiple=True, metavar="NETWORK", help="A private network that workers may reach.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="NETWORK",
    help="X-Forwarded-For, -Proto and -Host count from there.",
)
@click.option("--limit", "limits", multiple=True, metavar="NAME=NUMBER", help="Of each worker: cpu_ms, memory_mb, ...")
@click.option(
    "--drain",
    type=click.FloatRange(min=0, max=86400),
    default=30,
    show_default=True,
    help="Seconds to let requests finish when stopping.",
)
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="TLS: PEM file.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="TLS: its private key.")
@click.option("--tail-port", type=click.IntRange(0, 65535), default=0, help="Where tails are read. Default: any.")
@click.option("--namespaces", is_flag=True, help="Each worker's processes in namespaces of their own (Linux).")
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Dependencies come from the wheels in this folder, not from an index.",
)
@click.option(
    "--fronts", type=click.IntRange(1, 64), default=1, help="Supervisors behind the one port, where one is not enough."
)
@click.option("--log-level", type=click.Choice(("debug", "info", "warning", "error")), default="info")
@click.option("--log-format", type=click.Choice(("pretty", "json")), default=None, help="Default pretty.")
@click.pass_context
def host(ctx: click.Context, /, log_level: str, log_format: LogFormat | None, **options: Any) -> None:
    """Serve the workers that are deployed here, each in its own sandbox, next to the models."""
    ctx.obj = options["data"] = expanded(options["data"], "--data", DATA_REMEDY)
    if ctx.invoked_subcommand is not None:
        return
    from runtime.host.front import HostOptions
    from runtime.supervisor.observe import make_observer

    options["limits"] = _limits(options["limits"])
    _serve(HostOptions(**options), make_observer(log_format, log_level))


def _serve(options: HostOptions, observer: Observer) -> None:
    """As a host, as one of its fronts, or as what keeps those."""
    import sys

    from runtime.host.links.keeper import Seat
    from runtime.host.serve import host

    seat = Seat.taken()
    if seat is None and options.fronts > 1:
        from runtime.host.fronts.keeping import keep

        command = [sys.executable, "-P", "-m", "runtime.cli", *sys.argv[1:]]
        return keep(command, options.fronts, options.host, options.port, options.drain, observer)
    if seat is not None and seat.number > 1:
        from runtime.host.fronts.follower import follow

        return follow(options, observer, seat)
    host(options, observer, seat)


def _limits(options: tuple[str, ...]) -> Limits:
    """``("cpu_ms=50",)`` over the defaults."""
    import msgspec

    from runtime.errors import UserError
    from runtime.supervisor.limits import Limits

    try:
        limits = {name: int(number) for name, _, number in (text.partition("=") for text in options)}
        if unknown := limits.keys() - set(Limits.__struct_fields__):
            raise ValueError(f"there is no limit {sorted(unknown)[0]!r}")
        return msgspec.convert(limits, Limits)
    except (ValueError, msgspec.ValidationError) as error:
        names = ", ".join(Limits.__struct_fields__)
        raise UserError(str(error), where="--limit", remedy=f"Write:  --limit cpu_ms=50\nThere are: {names}") from None


@host.group()
def token() -> None:
    """Who may deploy, read, or use what products serve."""


class _ScopeOption(click.Option):
    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Imports every product, for the scopes that they bring."""
        from runtime.host.store.tokens import scopes

        self.help = f"What it is for: {', '.join(scopes())}; may be repeated.  [default: everything]"
        return super().get_help_record(ctx)


@token.command("create", short_help="Make a token; it is printed once.")
@click.argument("name")
@click.option("--scope", "scopes", cls=_ScopeOption, multiple=True)
@click.pass_obj
def token_create(data: Path, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token called NAME. It is printed once and kept only as a hash."""
    from runtime.host.store import tokens

    row, text = tokens.create(_registry(data), name, scopes)
    click.echo(f"{row.name} ({row.id}): {', '.join(row.scopes)}", err=True)
    click.echo(text)


@token.command("list")
@click.pass_obj
def token_list(data: Path) -> None:
    """The tokens' names and scopes."""
    for row in _registry(data).tokens():
        click.echo(
            f"{row.id}  {row.name}  {','.join(row.scopes)}  {row.created[:19]}"
            + (f"  revoked {row.revoked[:19]}" if row.revoked else "")
        )


@token.command("revoke")
@click.argument("name")
@click.pass_obj
def token_revoke(data: Path, name: str) -> None:
    """Refuse the token NAME (or its id) from now on."""
    from runtime.host.store import tokens

    row = tokens.revoke(_registry(data), name)
    click.echo(f"{row.name} ({row.id}) is revoked")


@host.command()
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--counted", is_flag=True, help="How often calls were refused, and models asked, by minute.")
@click.pass_obj
def audit(data: Path, limit: int, counted: bool) -> None:
    """The last calls that changed something, or tried to."""
    registry = _registry(data)
    for tally in reversed(registry.tallies(limit) if counted else ()):
        times = f"×{tally.times}"
        said = f"{tally.minute}  {tally.status}  {times:7}  {tally.what}  {tally.token or '-'}  {tally.peer}"
        click.echo(clean(said))
    for row in reversed(() if counted else registry.audited(limit)):
        said = f"{row.at[:19]}  {row.status}  {row.method:6}  {row.path}  {row.token or '-'}  {row.peer}"
        click.echo(clean(said))


@host.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def backup_(data: Path, file: Path) -> None:
    """Write all that the host keeps into FILE, while it serves; its key (secrets.key) is not in it."""
    from runtime.host.store.backup import KEY_FILE, backup

    about = _kept(data, lambda: backup(data, file))
    click.echo(f"{file}   {file.stat().st_size:,} bytes")
    if about.secrets:
        click.echo(f"Its secrets are sealed. Keep the key elsewhere: {data / KEY_FILE}", err=True)


@host.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--replace", is_flag=True, help="Lose what the data folder has now.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The secrets' key file.")
@click.pass_obj
def restore_(data: Path, file: Path, replace: bool, key: Path | None) -> None:
    """Make the data folder what it was when FILE was written."""
    from runtime.host.store.backup import KEY_FILE, restore

    about = _kept(data, lambda: restore(file, data, replace=replace, key=key))
    click.echo(f"{data} is as of {about.made}")
    if about.secrets and not (data / KEY_FILE).exists():
        click.echo(f"Its secrets are sealed: copy their key to {data / KEY_FILE} before the host starts.", err=True)


def _kept(data: Path, work: Callable[[], T]) -> T:
    """What ``work`` returns. Raises UserError where the disk does not let it."""
    import sqlite3

    from runtime.errors import UserError

    try:
        return work()
    except (OSError, sqlite3.Error) as error:
        remedy = "Let this user write there, and look whether the disk is full:  df -h"
        raise UserError(f"{error}; nothing was changed", where=str(data), remedy=remedy) from None


def _registry(data: Path) -> Registry:
    import sqlite3

    from runtime.errors import UserError
    from runtime.host.store.registry import Registry

    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Registry(data / "host.db")
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot be used: {why}", where=str(data), remedy=DATA_REMEDY) from None
