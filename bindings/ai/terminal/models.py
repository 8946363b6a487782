"""``pilot models``: what there is, what is here, and who answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import TEXT_GENERATION, Model
from bindings.ai.catalog.resolve import Catalog
from bindings.ai.terminal.listed import Listed, listed
from bindings.ai.terminal.project import CONFIG, ENGINE, project
from runtime.hints import closest
from runtime.starting import gpu


@click.command(short_help="Models: what there is, what is here, who answers.")
@click.argument("word", default="")
@click.option("--task", help="Only of this task: text, embeddings, speech, ...")
@click.option("--here", is_flag=True, help="Only those whose own weights are on this machine.")
@CONFIG
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(word: str, task: str | None, here: bool, config: Path | None, engine: str | None, as_json: bool) -> None:
    """Every model that a worker can ask for, and what becomes of it here; those with WORD in their names."""
    known = project(config, engine)
    driver = gpu.driver()
    gpus = driver.gpus if driver else ()
    chosen = [model for model in _of_task(known.catalog, task) if word.lower() in model.id.lower()]
    rows = [listed(known.catalog, model, known.engine, gpus) for model in chosen]
    rows = [row for row in rows if row.here or not here]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
    elif rows:
        click.echo("\n".join([*_tables(rows, gpus), *_remarks(rows, gpus)]))
    else:
        click.echo(_nothing(known.catalog, word, here))


def _of_task(catalog: Catalog, task: str | None) -> list[Model]:
    found = catalog.models()
    if task is None:
        return found
    names = list(dict.fromkeys(name for model in found for name in (kind(model), model.task)))
    meant = {name for name in names if _short(task) in _short(name)}
    if not meant:
        raise click.UsageError(f"there is no task {task!r}; there are: {', '.join(names)}")
    return [model for model in found if meant & {kind(model), model.task}]


def _short(task: str) -> str:
    """``text generation`` and ``text-generation`` are one; ``text`` alone is that and no other."""
    name = task.lower().replace("-", " ")
    return "text generation" if name == "text" else name


def _tables(rows: Sequence[Listed], gpus: Sequence[gpu.Gpu]) -> Iterator[str]:
    width = max(len(row.id) for row in rows)
    for task in dict.fromkeys(row.task for row in rows):
        fits = f"{'fits':6}" if gpus else ""
        yield f"{click.style(f'{task:{width}}', bold=True)}  {'window':>9} {'size':>9}  {fits}{'here':6}answered by"
        yield from (_line(row, width, bool(gpus)) for row in rows if row.task == task)
        yield ""


def _line(row: Listed, width: int, gpu: bool) -> str:
    window = f"{row.context_window:,}" if row.context_window else "-"
    fits = f"{_yes(row.fits):6}" if gpu else ""
    return f"{row.id:{width}}  {window:>9} {_size(row):>9}  {fits}{_yes(row.here):6}{_who(row)}"


def _yes(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _who(row: Listed) -> str:
    if row.engine is None:
        return click.style("nothing", dim=True)
    return click.style("stand-in", fg="yellow") if row.stand_in else click.style(row.engine, fg="green")


def _size(row: Listed) -> str:
    if row.size is None:
        return "-"
    about = "" if row.here else "~"
    return f"{about}{row.size / 1e9:.1f} GB" if row.size >= 1e9 else f"{about}{row.size / 1e6:.0f} MB"


def _remarks(rows: Sequence[Listed], gpus: Sequence[gpu.Gpu]) -> Iterator[str]:
    machine = ", ".join(f"{one.name} with {one.memory / 2**30:.0f} GiB" for one in gpus) or "No GPU was found: CPU"
    found = sum(row.here for row in rows)
    yield f"{len(rows)} model{'s' * (len(rows) != 1)}, {found} with weights here. {machine}."
    if any(row.stand_in for row in rows):
        names = list(dict.fromkeys(str(row.answers) for row in rows if row.stand_in))
        yield f"stand-in: {' or '.join(names)} answers, until models.yaml names weights that run here"
    if any(row.engine is None for row in rows):
        yield "nothing: no engine here serves it; pilot run MODEL says what to write"
    if talker := next((row.id for row in rows if row.engine and row.task == TEXT_GENERATION), None):
        yield f"To ask one:  pilot run {talker.rpartition('/')[2]} 'where is new york?'"


def _nothing(catalog: Catalog, word: str, here: bool) -> str:
    if here:
        return "no weights of these models are here; pilot models lists those there are"
    close = closest(word, [model.id.rpartition("/")[2] for model in catalog.models()], 3, alike=0.4)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    return f"no model has {word!r} in its name{hint}"


__all__ = ["models"]
