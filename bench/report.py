"""The results: a table in Markdown and a plot in SVG."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from bench import targets
from bench.figures import FIGURES, Figure
from bench.measures import Numbers
from runtime.bench.plot import Bar, Group, bars, cell

Results = dict[str, dict[str, list[Numbers]]]  # figure → server → one set of numbers per round


def table(results: Results, head: list[str]) -> str:
    lines = ["# Side by side", "", *head, "", "Medians over the rounds; in brackets the lowest and the highest.", ""]
    lines += targets.table(results)
    for figure in FIGURES:
        if figure.key in results:
            lines += [f"## {figure.title}", "", *rows(results[figure.key]), ""]
    return "\n".join(lines)


def rows(servers: dict[str, list[Numbers]]) -> list[str]:
    columns = list(dict.fromkeys(name for rounds in servers.values() for numbers in rounds for name in numbers))
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for server, rounds in servers.items():
        cells = [cell([numbers[column] for numbers in rounds if column in numbers]) for column in columns]
        lines.append(f"| {server} | {' | '.join(cells)} |")
    return lines


def plot(results: Results) -> str:
    """One group of bars per figure. Shorter is better everywhere."""
    return bars([_group(figure, results[figure.key]) for figure in FIGURES if figure.key in results])


def _group(figure: Figure, servers: dict[str, list[Numbers]]) -> Group:
    found = {name: [n[figure.lead] for n in rounds if figure.lead in n] for name, rounds in servers.items()}
    return Group(
        f"{figure.title}: {figure.lead}",
        [Bar(name, values, name.startswith("pilot")) for name, values in found.items()],
    )


def write(folder: Path, name: str, results: Results, head: list[str]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.md", folder / f"{name}.svg"
    paths[0].write_text(table(results, [*head, "", f"![]({name}.svg)"]))
    paths[1].write_text(plot(results))
    return paths


def empty() -> Results:
    return defaultdict(lambda: defaultdict(list))
