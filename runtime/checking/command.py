"""``pilot check``: parse, call, print."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from bindings.deploying import Apart
from runtime.checking.fates import Fate, fate, fates
from runtime.checking.portability import apart
from runtime.checking.upstream import upstream
from runtime.config import Config, load
from runtime.controls import clean
from runtime.packages.cache import PackageCache
from runtime.packages.declared import Declared, declared

WOULD_NOT_RUN = 4  # the exit code for a worker that is served here and not on Cloudflare
_SIGNS = {"served": ("✓", "green"), "idle": ("·", "white"), "refused": ("✘", "red")}
_WARNED = ("▲", "yellow")


@click.command(short_help="What is served here, and what would run on Cloudflare.")
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json.")
@click.option("-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="[env.NAME] of the configuration.")
@click.option("--keys", is_flag=True, help="Of every key that Wrangler knows, what becomes of it here.")
@click.option("--no-install", is_flag=True, help="Do not look at the worker's packages.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: Path | None, environment: str | None, keys: bool, no_install: bool, as_json: bool) -> None:
    """Read a worker without running it: which of its settings are served here, and line by line what would not work on
    Cloudflare, or not so.

    The exit code is 0 where it runs in both places, 3 where it cannot run here, and 4 where it would not run there.
    """
    if keys:
        return _keys(as_json)
    config = load(file, environment=environment)
    named = None if no_install else declared(config.root, config.main)
    used = [fate(key) for key in config.places]
    found = apart(config, named, _installed(named))
    stops = [one for one in found if one.stops]
    if as_json:
        click.echo(_encoded(_report(config, used, found)))
    else:
        _tell(config, used, found)
    sys.exit(WOULD_NOT_RUN if stops else 0)


def _installed(named: Declared | None) -> Path | None:
    """Raises UserError."""

    async def folder() -> Path | None:
        cache = PackageCache()
        try:
            return None if named is None else await cache.folder(named, lambda line: click.echo(line, err=True))
        finally:
            await cache.aclose()

    return asyncio.run(folder())


def _report(config: Config, used: list[Fate], found: list[Apart]) -> dict[str, object]:
    return {
        "config": str(config.path) if config.path else None,
        "name": config.name,
        "keys": used,
        "warnings": config.warnings,
        "cloudflare": [one._asdict() for one in found],
        "runs_on_cloudflare": not any(one.stops for one in found),
        "upstream": {"wrangler": upstream().wrangler, "pyodide": upstream().pyodide, "sdk": upstream().sdk},
    }


def _tell(config: Config, used: list[Fate], found: list[Apart]) -> None:
    click.echo(f"{config.source.file}: {config.name}\n\nhere")
    _list(used)
    for warning in config.warnings:
        _line(_WARNED, clean(warning))
    versions = f"wrangler {upstream().wrangler}, Pyodide {upstream().pyodide}, workers-runtime-sdk {upstream().sdk}"
    click.echo(f"\non Cloudflare ({versions})")
    for one in found:
        _line(_SIGNS["refused"] if one.stops else _WARNED, clean(f"{one.where}: {one.what}"))
        for line in one.remedy.splitlines():
            click.echo(f"      {clean(line)}")
    stops = sum(one.stops for one in found)
    if stops:
        return _line(_SIGNS["refused"], f"it would not run there: {stops} to mend")
    _line(_SIGNS["served"], "nothing found that would keep it from running there")


def _keys(as_json: bool) -> None:
    if as_json:
        return click.echo(_encoded(list(fates())))
    click.echo(f"The keys of wrangler {upstream().wrangler}")
    _list(list(fates()))


def _list(rows: list[Fate]) -> None:
    width = max((len(row.key) for row in rows), default=0)
    for row in rows:
        text = row.text if row.state in ("served", "not served", "unknown") else f"{row.state}: {row.text}"
        _line(_SIGNS.get(row.state, _WARNED), f"{row.key:<{width}}  {clean(text)}".rstrip())


def _line(sign: tuple[str, str], text: str) -> None:
    click.echo(f"  {click.style(sign[0], fg=sign[1])} {text}")


def _encoded(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


__all__ = ["check"]
