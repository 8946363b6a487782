"""One command, several hosts: each is told, whatever becomes of the others, and in the end it is said who has what."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from runtime.controls import clean
from runtime.deploy.api import Host
from runtime.errors import UserError


def on_each(hosts: str | None, work: Callable[[Host], str], *, quiet: bool = False) -> None:
    """``work`` says what its host has then, in a few words that are the same wherever the same is. Exits with 1 where a
    host refuses, or has other than the first. ``quiet``: errors alone are told. Raises UserError where one host alone
    is named, and that refuses."""
    targets = Host.every(hosts)
    if len(targets) == 1:
        work(targets[0])
        return
    have = [_on(target, work, quiet) for target in targets]
    if not quiet:
        _show(targets, have)
    if None in have or len(set(have)) > 1:
        sys.exit(1)


def _on(target: Host, work: Callable[[Host], str], quiet: bool) -> str | None:
    """None: it refuses, or does not answer."""
    if not quiet:
        click.echo(f"{target.url}:")
    try:
        return work(target)
    except UserError as error:
        click.echo(clean(f"  {error}"), err=True)
        return None


def _show(targets: Sequence[Host], have: Sequence[str | None]) -> None:
    click.echo("\nWho has what:")
    for target, what in zip(targets, have, strict=True):
        click.echo(f"  {target.url}   {click.style('failed', fg='red') if what is None else clean(what)}")
    if len({what for what in have if what is not None}) > 1:
        click.echo("They differ: the hosts do not have the same.", err=True)


__all__ = ["on_each"]
