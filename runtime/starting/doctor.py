"""``pilot doctor``: what this machine has, what it lacks, and what to type."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
import msgspec

from runtime import VERSION
from runtime.controls import clean
from runtime.starting import gpu
from runtime.starting.checks.finding import Finding
from runtime.starting.checks.gpus import gpus
from runtime.starting.checks.machine import machine
from runtime.starting.checks.packages import packages
from runtime.starting.checks.room import room
from runtime.starting.checks.walls import walls

CANNOT_START = 3
_WIDTH = 13


@click.command(short_help="What this machine has, what it lacks, what to type.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Look at this machine, and say what to type for what is missing. Fails only where pilot dev could not run."""
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            _tell(finding)
    needed = [finding.name for finding in found if finding.needed and finding.state == "missing"]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    elif needed:
        click.echo(f"\npilot dev cannot run here without: {', '.join(needed)}")
    else:
        click.echo(f"\npilot dev {VERSION} can run here")
    sys.exit(CANNOT_START if needed else 0)


def _findings() -> Iterator[Finding]:
    driver = gpu.driver()
    yield from machine()
    yield from packages(driver)
    yield from gpus(driver)
    yield from walls()
    yield from room()


def _tell(finding: Finding) -> None:
    colour = {"ok": "green", "note": "cyan", "missing": "red" if finding.needed else "yellow"}[finding.state]
    click.echo(f"{click.style(f'{finding.state:8}', fg=colour)} {finding.name:{_WIDTH}} {clean(finding.what)}")
    for line in finding.remedy.splitlines():
        click.echo(f"{'':8} {'':{_WIDTH}} {click.style(clean(line), dim=True)}")


__all__ = ["doctor"]
