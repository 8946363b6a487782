"""Another checkout of this project beside this one, in turns, so that a change is judged by what was before it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.figures import Figure
from bench.measures import Numbers
from bench.report import Results
from bench.running import Server
from runtime.bench.plot import cell


def checkout(text: str) -> Path:
    """Raises ValueError: it is none."""
    folder = Path(text).resolve()
    if not (folder / "runtime" / "cli.py").exists():
        raise ValueError(
            f"{folder} has no runtime/cli.py: name a checkout, as  git worktree add FOLDER COMMIT  makes it"
        )
    return folder


def beside(figures: Iterable[Figure], folder: Path) -> list[Figure]:
    """The same figures, where each server of ours is followed by its twin."""
    twins: dict[Server, Server] = {}
    found = []
    for figure in figures:
        servers: list[Server] = []
        for server in figure.servers:
            servers.append(server)
            if server.is_ours:
                servers.append(twins.setdefault(server, _twin(server, folder)))
        found.append(replace(figure, servers=tuple(servers)))
    return found


def _twin(server: Server, folder: Path) -> Server:
    own = folder / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    version = f"{server.version} of {folder}"
    return replace(server, name=twin_name(server.name, folder), command=(python, *server.command[1:]), tree=folder,
                   version=version)  # fmt: skip


def twin_name(name: str, folder: Path) -> str:
    return f"{name}, {folder.name}"


def table(results: Results, figures: Iterable[Figure], folder: Path) -> list[str]:
    """Lines of Markdown: what each figure is, divided by what it is there. A round's quotient is of two neighbours in
    time, so the median of the quotients is what to go by."""
    what = "Ours divided by theirs: the median of the rounds' quotients, in brackets the lowest and the highest."
    lines = [f"## Against {folder.name}", "", what, "", "| | | ours | theirs | × |", "|---|---|---:|---:|---:|"]
    for figure in figures:
        for server in figure.servers:
            there = results.get(figure.key, {}).get(twin_name(server.name, folder), [])
            lines += _rows(f"{figure.key}, {server.name}", results.get(figure.key, {}).get(server.name, []), there)
    return [*lines, ""]


def _rows(what: str, here: list[Numbers], there: list[Numbers]) -> list[str]:
    rounds = list(zip(here, there, strict=False))
    lines = []
    for column in dict.fromkeys(name for one, other in rounds for name in one if name in other):
        pairs = [(one[column], other[column]) for one, other in rounds if column in one and column in other]
        quotients = [one / other for one, other in pairs if other]
        if quotients:
            ours, theirs = (median(values) for values in zip(*pairs, strict=True))
            lines.append(f"| {what} | {column} | {cell([ours])} | {cell([theirs])} | {cell(quotients)} |")
    return lines
