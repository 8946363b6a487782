"""The ``pilot`` command: parse, call, print."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from runtime.errors import Fault, UserError

LEVELS = ("debug", "info", "warning", "error")


# Commands that have a module of their own, imported on use.
ELSEWHERE = {
    "host": "runtime.host.commands:host",
    **{name: f"runtime.deploy.commands:{name}"
       for name in ("deploy", "versions", "deployments", "rollback", "secret", "delete", "status")},
}  # fmt: skip


class _Command(click.Group):
    """Exit codes: 0, 1 a fault of ours, 2 usage, 3 cannot start."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, name = ELSEWHERE[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"{click.style('error', fg='red', bold=True)} {error}", err=True)
            sys.exit(3)
        except Fault as error:
            click.echo(f"fault: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pilotlight", prog_name="pilot")
def main() -> None:
    """Run Cloudflare-style Python workers on your own machine and your own GPU."""


@main.command()
@click.argument("script", required=False, type=click.Path(path_type=Path))
@click.option("-c", "--config", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json.")
@click.option(
    "-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="An environment of the configuration, [env.NAME]."
)
@click.option("-p", "--port", type=click.IntRange(0, 65535), help="Default 8787; 0 picks a free one.")
@click.option("--host", help="Address to listen on. Default 127.0.0.1.")
@click.option("--engine", help="vllm, llamacpp, openai or echo. Default: the best that works here.")
@click.option("--var", "variables", multiple=True, metavar="K:V", help="Set or override a variable.")
@click.option("--inline", is_flag=True, help="Run the worker in this process, for breakpoint() and debuggers.")
@click.option("--drain", type=click.FloatRange(min=0, max=86400), help="Seconds to let requests finish when stopping.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(("pretty", "json")), default=None, help="Default pretty.")
def dev(script: Path | None, log_level: str, log_format: Any, variables: tuple[str, ...], **options: Any) -> None:
    """Serve a worker here, reloading it on every save. SCRIPT is needed only without a configuration."""
    from runtime.config import parse_variable
    from runtime.supervisor.dev import Options
    from runtime.supervisor.dev import dev as serve
    from runtime.supervisor.observe import make_observer

    options["config"] = script or options["config"]
    serve(Options(variables=dict(map(parse_variable, variables)), **options), make_observer(log_format, log_level))


if __name__ == "__main__":
    main()
