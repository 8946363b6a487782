"""``pilot pull``: a model's weights, brought here."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bindings.ai.catalog.models import Model
from bindings.ai.engine import embedded
from bindings.ai.engine.protocol import ENGINES
from bindings.ai.hub.names import Wanted, wanted
from bindings.ai.terminal.ids import full_id
from bindings.ai.terminal.project import CONFIG, Project, project
from runtime.errors import UserError
from runtime.hints import close_to

if TYPE_CHECKING:
    from bindings.ai.hub.download import Grown

_FETCHING = ("vllm", "llamacpp")  # engines that load weights here


@click.command(short_help="Bring a model's weights here.")
@click.argument("model")
@CONFIG
@click.option("--engine", help="vllm or llamacpp: whose weights. Default: as pilot dev.")
def pull(model: str, config: Path | None, engine: str | None) -> None:
    """Bring the weights of MODEL here: of one that a worker can ask for, or of a repository on Hugging Face, such as
    org/name, or org/name:Q4_K_M for a GGUF file. What was broken off goes on where it was.

    HF_ENDPOINT names a mirror, HF_TOKEN who asks, HF_HOME where it is kept."""
    if engine is not None and engine not in _FETCHING:
        what = "fetches no weights" if engine in ENGINES else f"unknown engine {engine!r}{close_to(engine, ENGINES)}"
        raise UserError(what, where=f"--engine {engine}", remedy=f"Use one of: {', '.join(_FETCHING)}")
    known = project(config)
    meant = None if model.startswith("@") or _is_known(known, model) else wanted(model)
    if meant is None:
        meant = _weights(known, full_id(known.catalog, model), engine)
    try:
        meant, folder, size = asyncio.run(_pull(meant))
    except KeyboardInterrupt:
        click.echo("\nWhat has come stays; the same command goes on from there.", err=True)
        sys.exit(130)
    click.echo(f"{click.style('✓', fg='green')} {meant}, {_amount(size)}, in {folder}")
    if advice := _advice(known, model, meant):
        click.echo(advice)


def _is_known(known: Project, name: str) -> bool:
    return any(name == model.id for model in known.catalog.models())


def _weights(known: Project, id: str, engine: str | None) -> Wanted:
    """What the engine that answers would load. Raises UserError: none are named for it, or no hub has them."""
    from bindings.ai.catalog.resolve import automatic_engine

    model = known.catalog.model(id)
    engine = engine or model.engine or known.engine or automatic_engine()
    name = _name(model, engine) or ""
    if engine in _FETCHING and (found := wanted(name)) is not None and not Path(name).exists():
        return found
    if name == embedded.NAME or Path(name).is_absolute():
        raise UserError(
            f"its weights are named by a path, {name}: there is nothing to pull", where=id, remedy=f"pilot run {id}"
        )
    raise UserError(f"no weights are named for {engine}", where=id, remedy=_remedy(model, engine))


def _name(model: Model, engine: str) -> str | None:
    block = getattr(model, engine, None) or {}
    name: str | None = model.model or block.get("model")
    return name


def _remedy(model: Model, engine: str) -> str:
    lines = (
        [f'In models.yaml:  "{model.id}":\n                   llamacpp: {{model: org/name:Q4_K_M}}']
        if engine == "llamacpp"
        else []
    )
    lines += [f"pilot pull {model.id} --engine {other}   is {name}" for other in _FETCHING
              if other != engine and (name := _name(model, other))]  # fmt: skip
    return "\n".join(lines)


async def _pull(meant: Wanted) -> tuple[Wanted, Path, int]:
    """What was meant, its folder, and the bytes in all. Raises UserError."""
    import aiohttp

    from bindings.ai.hub import refusals
    from bindings.ai.hub.download import Download, endpoint, session
    from bindings.ai.hub.listing import listing, needed

    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise UserError("says that no hub may be asked", where="HF_HUB_OFFLINE", remedy="unset HF_HUB_OFFLINE")
    async with session() as asking:
        try:
            found = await listing(asking, endpoint(), meant.repository)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise refusals.unreachable(error, endpoint(), meant.repository) from None
        meant, entries = needed(found.entries, meant)
        total = sum(entry.size for entry in entries)
        with _progress(str(meant), total) as grown:
            download = Download(asking, meant.repository, found, grown)
            download.check_room(entries)
            grown(total - download.missing(entries))
            return meant, await download.fetch(entries), total


@contextmanager
def _progress(name: str, total: int) -> Iterator[Grown]:
    """A bar in a terminal; else a line at each tenth."""
    if not sys.stderr.isatty():
        yield _Tenths(name, total).grown
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda size: bar.advance(task, size)


class _Tenths:
    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._have, self._said = name, total, 0, 0

    def grown(self, size: int) -> None:
        self._have += size
        if (tenth := 10 * self._have // max(self._total, 1)) > self._said:
            self._said = tenth
            click.echo(f"{self._name}: {tenth}0% of {_amount(self._total)}", err=True)


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _advice(known: Project, model: str, meant: Wanted) -> str:
    """How it is used from here."""
    if _is_known(known, model) or model.startswith("@") or wanted(model) is None:
        return f"  pilot run {model}"
    engine = "llamacpp" if meant.variant else "vllm"
    return f'  In models.yaml:  "@cf/mine/{meant.repository.rpartition("/")[2].lower()}":\n' \
           f"                     {engine}: {{model: {meant}}}"  # fmt: skip


__all__ = ["pull"]
