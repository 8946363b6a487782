"""``pilot deploy`` and what goes with it: parse, call, print."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypedDict, Unpack
from urllib.parse import quote

import click

from runtime.controls import clean
from runtime.deploy.api import DEFAULT_URL, Host
from runtime.deploy.several import on_each
from runtime.errors import UserError

HOST = click.option("--host", metavar="URL", help=f"Default: PILOT_HOST, then {DEFAULT_URL}. Token: PILOT_API_TOKEN.")
HOSTS = click.option("--host", metavar="URL[,URL]", help=f"Default: PILOT_HOST, then {DEFAULT_URL}. Of several: each.")
CONFIG = click.option("-c", "--config", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json.")
ENV = click.option("-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="[env.NAME] of the configuration.")
NAME = click.option("--name", help="The worker. Default: the configuration's.")
WORKER = click.argument("worker_name", metavar="[WORKER]", required=False)  # as Wrangler has it; else --name
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class WorkerOptions(TypedDict):
    """The options that name a worker; see ``_worker``."""

    name: str | None
    config: Path | None
    environment: str | None


def _worker(command: Callable[..., None], host: Callable[..., Any] = HOST) -> Callable[..., None]:
    """The options that name a worker on a host."""
    for option in (NAME, ENV, CONFIG, host):
        command = option(command)
    return command


def _worker_on_each(command: Callable[..., None]) -> Callable[..., None]:
    return _worker(command, HOSTS)


def _named(name: str | None, config: Path | None, environment: str | None) -> str:
    from runtime.config import load

    return name or load(config, environment=environment).name


@click.command(short_help="Send this worker to a host.")
@HOSTS
@CONFIG
@ENV
@click.option("--var", "variables", multiple=True, metavar="K:V", help="Set or override a variable.")
@click.option("-m", "--message", default="", help="What this version is about.")
@click.option("--tag", default="", help="A label for this version.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
def deploy(
    host: str | None,
    config: Path | None,
    environment: str | None,
    variables: tuple[str, ...],
    message: str,
    tag: str,
    dry_run: bool,
) -> None:
    """Send this worker to a host, where it takes the place of its last version once it has been seen to load."""
    from runtime.config import load, parse_variable
    from runtime.deploy import show, tree
    from runtime.deploy.sending import Parcel
    from runtime.packages.cache import pinned

    read = load(config, environment=environment, variables=dict(map(parse_variable, variables)))
    show.warnings(warning for warning in read.warnings if warning not in read.local_warnings)
    sent, requirements = tree.collect(read), asyncio.run(pinned(read, show.told))
    show.sizes(read.name, sent, requirements)
    parcel = Parcel(read, sent.files, tree.metadata(read, message, tag, requirements), tree.shipments(read))
    show.shipments(parcel.shipments)
    if not dry_run:
        on_each(host, parcel.send)


@click.command()
@_worker
@AS_JSON
def versions(host: str | None, as_json: bool, **worker: Unpack[WorkerOptions]) -> None:
    """The worker's versions, the newest first."""
    from runtime.deploy import show

    items = Host.chosen(host).call("GET", f"scripts/{_named(**worker)}/versions")["items"]
    show.versions(items, as_json)


@click.command()
@_worker
@AS_JSON
def deployments(host: str | None, as_json: bool, **worker: Unpack[WorkerOptions]) -> None:
    """Which versions answered when, the newest first."""
    from runtime.deploy import show

    rows = Host.chosen(host).call("GET", f"scripts/{_named(**worker)}/deployments")["deployments"]
    show.deployments(rows, as_json)


@click.command(short_help="Make an earlier version answer again.")
@click.argument("version", required=False)
@_worker_on_each
@click.option("-m", "--message", default="", help="Why.")
def rollback(version: str | None, host: str | None, message: str, **worker: Unpack[WorkerOptions]) -> None:
    """Make an earlier VERSION answer again: its number or its id, as `pilot versions` has them, or an id's beginning.

    Without one, the version before the one in force.
    """
    name = _named(**worker)

    def roll_back(target: Host) -> str:
        row = target.call("GET", f"scripts/{name}/versions/{quote(version or _previous(target, name), safe='')}")
        share = [{"version_id": row["id"], "percentage": 100}]
        notes = {"workers/message": message or f"rollback to {row['id']}"}
        target.call("POST", f"scripts/{name}/deployments", {"versions": share, "annotations": notes})
        click.echo(f"{name}: version {row['number']} answers   {row['id']}")
        return f"{name} with the code {row['resources']['script']['etag'][:12]}"

    on_each(host, roll_back)


@click.command(short_help="Take the worker off the host.")
@WORKER
@_worker_on_each
@click.option("--purge", is_flag=True, help="And what it keeps there, unless another worker has it too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(worker_name: str | None, host: str | None, purge: bool, yes: bool, **worker: Unpack[WorkerOptions]) -> None:
    """Take the worker off the host, with its versions and secrets. What it keeps there stays, unless it is purged."""
    name = worker_name or _named(**worker)
    if not yes:
        kept = " and everything it keeps" if purge else ""
        click.confirm(f"Delete {name} with all its versions and secrets{kept}?", abort=True)

    def remove(target: Host) -> str:
        removed = target.call("DELETE", f"services/{name}{'?purge=true' if purge else ''}")
        click.echo(f"{name} is deleted")
        for item in removed or ():
            click.echo(clean(f"  removed: {item['product']} {item['id']}"))
        return f"{name} is not there any more"

    on_each(host, remove)


@click.command()
@HOSTS
@AS_JSON
def status(host: str | None, as_json: bool) -> None:
    """What the host serves, and how it fares; of several hosts, each."""
    from runtime.deploy import show

    def report(target: Host) -> str:
        told[target.url] = target.call("GET", f"{target.url}/client/v4/pilot/status")
        if not as_json:
            show.status(told[target.url], target.url)
        return ""

    told: dict[str, Any] = {}
    try:
        on_each(host, report, quiet=True)
    finally:
        if as_json and told:
            show.dump(told if len(Host.every(host)) > 1 else next(iter(told.values())))


@click.command(short_help="Watch the worker's requests and prints.")
@WORKER
@_worker
@click.option("--format", "form", type=click.Choice(("pretty", "json")), default="pretty", show_default=True)
@click.option(
    "--status",
    "outcomes",
    multiple=True,
    type=click.Choice(("ok", "error", "canceled")),
    help="Only requests that ended so; may be repeated.",
)
@click.option("--method", "methods", multiple=True, help="Only these: GET, POST ...")
@click.option("--search", help="Only what prints this text.")
@click.option("--sampling-rate", type=click.FloatRange(0, 1), help="Only this share of the requests.")
def tail(
    worker_name: str | None,
    host: str | None,
    form: str,
    outcomes: tuple[str, ...],
    methods: tuple[str, ...],
    search: str | None,
    sampling_rate: float | None,
    **worker: Unpack[WorkerOptions],
) -> None:
    """Watch the worker's requests, prints and exceptions as they happen."""
    from runtime.deploy.tail import follow

    kinds = [name for outcome in outcomes for name in (("exception",) if outcome == "error" else (outcome,))]
    filters: dict[str, Any] = {"outcome": kinds, "method": [name.upper() for name in methods], "query": search}
    chosen = [{name: value} for name, value in filters.items() if value]
    if sampling_rate is not None:
        chosen.append({"sampling_rate": sampling_rate})
    follow(Host.chosen(host), worker_name or _named(**worker), chosen, form == "json")


@click.group(short_help="Set, list and delete a worker's secrets.")
def secret() -> None:
    """A worker's secrets: set on the host, sealed there, never shown again."""


@secret.command("put")
@click.argument("key")
@_worker_on_each
def secret_put(key: str, host: str | None, **worker: Unpack[WorkerOptions]) -> None:
    """Set KEY. The value is asked for, or read from standard input."""
    text = click.prompt(f"{key}", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    name, body = _named(**worker), {"name": key, "text": text, "type": "secret_text"}
    _change_secrets(host, f"{name}: {key} is set", "PUT", f"scripts/{name}/secrets", body)


@secret.command("list")
@_worker
def secret_list(host: str | None, **worker: Unpack[WorkerOptions]) -> None:
    """Their names."""
    for row in Host.chosen(host).call("GET", f"scripts/{_named(**worker)}/secrets"):
        click.echo(clean(row["name"]))


@secret.command("delete")
@click.argument("key")
@_worker_on_each
def secret_delete(key: str, host: str | None, **worker: Unpack[WorkerOptions]) -> None:
    """Take KEY away."""
    name = _named(**worker)
    _change_secrets(host, f"{name}: {key} is gone", "DELETE", f"scripts/{name}/secrets/{key}")


@secret.command("bulk", short_help="Set all of a JSON object.")
@click.argument("file", type=click.File("rb"), default="-")
@_worker_on_each
def secret_bulk(file: IO[bytes], host: str | None, **worker: Unpack[WorkerOptions]) -> None:
    """Set all of FILE, a JSON object NAME → text (null takes one away), in one new version."""
    import msgspec

    try:
        given = msgspec.json.decode(file.read(), type=dict[str, str | None])
    except msgspec.DecodeError as error:
        remedy = 'Write it like  {"NAME": "text", "ANOTHER": null}'
        raise UserError(f"is not a JSON object of texts: {error}", where=file.name, remedy=remedy) from None
    secrets = {
        key: None if text is None else {"name": key, "text": text, "type": "secret_text"} for key, text in given.items()
    }
    name = _named(**worker)
    done = f"{name}: set or taken away: {', '.join(given) or 'nothing'}"
    _change_secrets(host, done, "PATCH", f"scripts/{name}/secrets-bulk", {"secrets": secrets})


def _change_secrets(host: str | None, done: str, method: str, path: str, body: object = None) -> None:
    def change(target: Host) -> str:
        target.call(method, path, body)
        click.echo(done)
        return done

    on_each(host, change)


def _previous(target: Host, name: str) -> str:
    rows = target.call("GET", f"scripts/{name}/deployments")["deployments"]
    in_force = {item["version_id"] for item in rows[0]["versions"]} if rows else set()
    for row in rows[1:]:
        id = max(row["versions"], key=lambda item: item["percentage"])["version_id"]
        if id not in in_force:
            return str(id)
    raise UserError("there is no earlier version to go back to", where=name, remedy="pilot versions")
