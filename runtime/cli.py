"""The ``pilot`` command: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import click

from bindings import COMMANDS
from runtime.controls import clean_lines
from runtime.errors import Fault, UserError
from runtime.hints import close_to
from runtime.places import check_folder, open_streams
from runtime.product_options import ProductOptions, words

if TYPE_CHECKING:
    from runtime.supervisor.observe import LogFormat

LEVELS = ("debug", "info", "warning", "error")


# Commands that have a module of their own, imported on use.
LAZY_COMMANDS = {
    "completion": "runtime.starting.completion:completion",
    "check": "runtime.checking.command:check",
    "doctor": "runtime.starting.doctor:doctor",
    "init": "runtime.starting.commands:init",
    "types": "runtime.starting.types:types",
    "host": "runtime.host.commands:host",
    **{name: f"runtime.deploy.commands:{name}"
       for name in ("deploy", "versions", "deployments", "rollback", "secret", "delete", "status", "tail")},
}  # fmt: skip


class _Command(click.Group):
    """Exit codes: 0, 1 a fault of ours, 2 usage, 3 cannot start."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *LAZY_COMMANDS, *COMMANDS, *_of_products()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        target = LAZY_COMMANDS.get(cmd_name) or COMMANDS.get(cmd_name) or _of_products().get(cmd_name)
        if target is None:
            return None
        command: click.Command = resolve_name(target)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if "ou mean" in error.message:  # newer versions of click say it themselves, of commands that they hold
                raise
            raise click.UsageError(error.message + close_to(args[0], self.list_commands(ctx)), ctx) from None

    def main(self, *args: Any, **options: Any) -> Any:
        open_streams()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            check_folder()
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"{click.style('error', fg='red', bold=True)} {clean_lines(str(error))}", err=True)
            sys.exit(3)
        except Fault as error:
            click.echo(f"fault: {clean_lines(str(error))}", err=True)
            sys.exit(1)


def _of_products() -> Mapping[str, str]:
    """Imports every product: only for what is no command of our own, and for the list of all."""
    from bindings import products

    return {name: target for product in products() for name, target in product.commands.items()}


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="pilotlight", prog_name="pilot")
def main() -> None:
    """Run Cloudflare-style Python workers on your own machine and your own GPU."""


@main.command(cls=ProductOptions)
@click.argument("script", required=False, type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--config",
    "configs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="wrangler.toml, .jsonc or .json. Again for each further worker: it is at /_w/NAME/.",
)
@click.option(
    "-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="An environment of the configuration, [env.NAME]."
)
@click.option("-p", "--port", type=click.IntRange(0, 65535), help="Default 8787; 0 picks a free one.")
@click.option("--host", help="Address to listen on. Default 127.0.0.1.")
@click.option("--persist-to", type=click.Path(path_type=Path, file_okay=False), help="Default: .pilot/state.")
@click.option("--no-persist", is_flag=True, help="Forget all state at the end.")
@click.option("--var", "variables", multiple=True, metavar="K:V", help="Set or override a variable.")
@click.option("--no-install", is_flag=True, help="Leave the worker's dependencies to this Python's own packages.")
@click.option("--inline", is_flag=True, help="Run the worker in this process, for breakpoint() and debuggers.")
@click.option("--debug", type=click.IntRange(1, 65535), metavar="PORT", help="Let a debugger (VS Code's) attach there.")
@click.option("--open", is_flag=True, help="Open the page in a browser once it is served.")
@click.option("--drain", type=click.FloatRange(min=0, max=86400), help="Seconds to let requests finish when stopping.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(("pretty", "json")), default=None, help="Default pretty.")
def dev(
    script: Path | None,
    log_level: str,
    log_format: LogFormat | None,
    variables: tuple[str, ...],
    inline: bool,
    no_install: bool,
    no_persist: bool,
    **options: Any,
) -> None:
    """Serve a worker here, reloading it on every save. SCRIPT is needed only without a configuration."""
    if no_persist and options["persist_to"]:
        raise click.UsageError("--persist-to and --no-persist exclude each other")
    if inline and options["debug"]:
        raise click.UsageError("--inline and --debug exclude each other")
    from runtime.supervisor.processes.isolates import make_spawner

    spawner = None if inline else make_spawner()
    if spawner is not None:
        spawner.begin()  # it imports what it needs while we do
    from runtime.config import parse_variable
    from runtime.supervisor.dev import DevOptions
    from runtime.supervisor.dev import dev as serve
    from runtime.supervisor.observe import make_observer

    options.update(configs=(script,) if script else options["configs"], variables=dict(map(parse_variable, variables)))
    keys = log_format != "json" and not inline  # where breakpoint() reads them itself
    options |= {"persist": not no_persist, "install": not no_install, "keys": keys}
    serve(DevOptions(**options), make_observer(log_format, log_level), spawner)


@main.command(cls=ProductOptions, short_help="Measure a worker, or any URL.")
@click.argument("what", required=False, metavar="[URL|SCRIPT]")
@click.option("-c", "--config", help="The worker's wrangler.toml, .jsonc or .json.")
@click.option("-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="An environment of the configuration.")
@click.option("--path", default="", help="What to ask for, with its query.  [default: /]")
@click.option("-X", "--method", help="Default GET, with a body POST.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'")
@click.option("-d", "--body", help="Text, or @FILE.")
@click.option("--streams", default="1,16,64", show_default=True, help="How many at a time; each number by itself.")
@click.option("--duration", type=click.FloatRange(0.1, 3600), default=5, show_default=True, help="Seconds per window.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=3, show_default=True)
@click.option("--warm-up", type=click.FloatRange(0, 3600), default=1, show_default=True, help="Seconds; 0: none.")
@click.option("--against", multiple=True, metavar="[NAME=]URL", help="Measure this too, in turns.")
@click.option("--against-body", help="Its body, where it differs.")
@click.option("--against-header", "against_headers", multiple=True, metavar="'NAME: VALUE'")
@click.option("--pin", is_flag=True, help="Worker on the first CPU, load on the last.")
@click.option("--wait", type=click.FloatRange(1, 86400), default=600, show_default=True, help="For a first answer, s.")
@click.option("--format", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write table, plot and figures there.")
def bench(config: str | None, environment: str | None, product_options: dict[str, object], **options: Any) -> None:
    """Measure a worker, or any URL: requests and tokens per second, time to the first token and between tokens."""
    from runtime.bench.command import BenchOptions, run

    flags = {"--config": config, "--env": environment}
    worker = [word for flag, value in flags.items() if value for word in (flag, value)]
    sys.exit(run(BenchOptions(worker=(*worker, *words("bench", product_options)), **options)))


if __name__ == "__main__":
    main()
