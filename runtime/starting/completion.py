"""``pilot completion``: what a shell reads to complete the words of ``pilot``."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from runtime.errors import UserError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", required=False, type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print what completes `pilot` in SHELL. Default: the one you use.

    \b
    bash, in ~/.bashrc:   eval "$(pilot completion bash)"
    zsh, in ~/.zshrc:     eval "$(pilot completion zsh)"
    fish, once:           pilot completion fish > ~/.config/fish/completions/pilot.fish
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UserError("is no shell that can be completed in", where=f"SHELL={name}",
                        remedy=f"Name one:  pilot completion {SHELLS[0]}")  # fmt: skip
    made = get_completion_class(name)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "pilot", "_PILOT_COMPLETE").source())
