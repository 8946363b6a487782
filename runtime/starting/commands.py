"""``pilot init``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from runtime.errors import UserError
from runtime.starting.templates import TEMPLATES, files_of

_EXPLAINED = {
    "wrangler.toml": "what the worker is called, where its code is, which bindings it has",
    "entry.py": "the code: every request comes to fetch",
    "pyproject.toml": "the packages that it imports",
    "library.py": "more of it: how documents are split, kept and found",
    "page.html": "the page, which the code sends",
    "public/index.html": "the page, served without the worker",
    "test_worker.py": "a first test; pip install pytest, then:  pytest",
    ".gitignore": "state and secrets stay here",
}


@click.command()
@click.argument("name", required=False)
@click.option("-t", "--template", default="hello", show_default=True, help=f"One of: {', '.join(TEMPLATES)}.")
def init(name: str | None, template: str) -> None:
    """Begin a worker: a folder NAME with its files, or this folder when it has no name."""
    folder = Path(name) if name else Path()
    called = _name_of(folder.absolute().name)
    files = dict(files_of(template, called))
    if there := [path for path in files if (folder / path).exists()]:
        raise UserError("is there already, and stays as it is", where=str(folder / there[0]),
                        remedy=f"Choose another folder:  pilot init NAME --template {template}")  # fmt: skip
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    _tell(folder, template, files)


def _tell(folder: Path, template: str, files: dict[str, bytes]) -> None:
    click.echo(f"{click.style('✓', fg='green')} {TEMPLATES[template]}, in {folder.absolute()}\n")
    width = max(map(len, files))
    for path in files:
        click.echo(f"  {path:<{width}}  {click.style(_EXPLAINED.get(path, ''), dim=True)}".rstrip())
    go = f"cd {folder} && " if folder != Path() else ""
    click.echo(f"\n  {go}pilot dev\n")


def _name_of(folder: str) -> str:
    """A worker's name made of a folder's."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:63].strip("-")
    return name or "worker"
