"""``pilot types``: what ``env`` has, for editors and type checkers."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from runtime.errors import UserError

DEFAULT_FILE = "worker_env.py"


@click.command()
@click.option("-c", "--config", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json.")
@click.option("-e", "--env", "environment", envvar="CLOUDFLARE_ENV", help="Of [env.NAME] alone. Default: of all.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help=f"Default: {DEFAULT_FILE} beside it; -: print it."
)
def types(config: Path | None, environment: str | None, output: Path | None) -> None:
    """Write a class Env that says what `env` has, so that editors complete it, and mypy and pyright check it.

    It is the worker's to import:  from worker_env import Env
    """
    from runtime.config.source import find, read

    path = find(config, Path.cwd())
    if path.suffix == ".py":
        raise UserError("there is no configuration, and so nothing in env", where=path.name,
                        remedy="Name one:  pilot types --config wrangler.toml")  # fmt: skip
    _, raw = read(path, Path.cwd())
    found = _types(path, environment, raw)
    text = "\n".join(_module(path.name, found)) + "\n"
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    target = output or path.parent / DEFAULT_FILE
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(target), remedy="Name another:  -o FILE"
        ) from None
    click.echo(f"{click.style('✓', fg='green')} {target}: {len(found)} names of env")
    click.echo(f"  In the worker:  from {target.stem} import Env")
    click.echo(f"  mypy, pyright and the editor are to use the Python that Pilotlight is in:  {sys.executable}")


def _types(path: Path, environment: str | None, raw: Mapping[str, object]) -> dict[str, dict[str, None]]:
    """name → each type that it has in some environment, as Python writes it."""
    from bindings import products
    from runtime.config import load

    tables = raw.get("env")
    environments = [environment] if environment else [None, *(tables if isinstance(tables, dict) else ())]
    found: dict[str, dict[str, None]] = {}
    for name in environments:
        config = load(path, environment=name)
        for product in products():
            for key, type in product.env_types(config).items():
                shown = type.place.replace(":", ".") + (f"[{type.parameters}]" if type.parameters else "")
                found.setdefault(key, {})[shown.removeprefix("builtins.")] = None
    return found


def _module(config: str, types: Mapping[str, Mapping[str, None]]) -> Iterator[str]:
    """Its lines. At run time it imports nothing, so that it can be deployed anywhere."""
    modules = {shown.partition("[")[0].rpartition(".")[0] for some in types.values() for shown in some}
    yield f'"""What env has, made from {config} by:  pilot types"""'
    yield ""
    yield "# pyright: reportMissingModuleSource=false"
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "from typing import TYPE_CHECKING"
    yield ""
    yield "if TYPE_CHECKING:"
    yield from (f"    import {module}" for module in sorted({"typing", *modules} - {""}))
    yield ""
    yield ""
    yield "class Env:"
    for name, some in types.items():
        if name.isidentifier() and not keyword.iskeyword(name):
            yield f"    {name}: {' | '.join(some)}"
    yield ""
    yield "    def __getitem__(self, name: str, /) -> typing.Any: ..."


__all__ = ["types"]
