"""The results: a table in Markdown and a plot in SVG."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from bench.figures import FIGURES, Figure, Numbers

Results = dict[str, dict[str, list[Numbers]]]  # figure → server → one set of numbers per round
_BAR, _LEFT, _WIDE = 22, 210, 420


def table(results: Results, head: list[str]) -> str:
    lines = ["# Side by side", "", *head, "", "Medians over the rounds; in brackets the lowest and the highest.", ""]
    for figure in FIGURES:
        if figure.key in results:
            lines += [f"## {figure.title}", "", *_rows(results[figure.key]), ""]
    return "\n".join(lines)


def _rows(servers: dict[str, list[Numbers]]) -> list[str]:
    columns = list(dict.fromkeys(name for rounds in servers.values() for numbers in rounds for name in numbers))
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for server, rounds in servers.items():
        cells = [_cell([numbers[column] for numbers in rounds if column in numbers]) for column in columns]
        lines.append(f"| {server} | {' | '.join(cells)} |")
    return lines


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ({short(min(values))}-{short(max(values))})" if len(values) > 1 else ""
    return short(median(values)) + spread


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def plot(results: Results) -> str:
    """One group of bars per figure: the median as the bar, the spread as a line. Shorter is better everywhere."""
    parts: list[str] = []
    y = 20
    for figure in FIGURES:
        if figure.key in results:
            y = _group(parts, figure, results[figure.key], y)
    style = ("text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600}.v{fill:#666}"
             "@media(prefers-color-scheme:dark){text{fill:#ddd}.v{fill:#aaa}}")
    size = f'width="{_LEFT + _WIDE + 150}" height="{y}" viewBox="0 0 {_LEFT + _WIDE + 150} {y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>{"".join(parts)}</svg>\n'


def _group(parts: list[str], figure: Figure, servers: dict[str, list[Numbers]], y: int) -> int:
    found = {name: [n[figure.lead] for n in rounds if figure.lead in n] for name, rounds in servers.items()}
    most = max((max(values) for values in found.values() if values), default=1) or 1
    parts.append(f'<text class="t" x="10" y="{y}">{escape(figure.title)}: {escape(figure.lead)}</text>')
    for name, values in found.items():
        if not values:
            continue
        y += _BAR
        width, low, high = (_WIDE * value / most for value in (median(values), min(values), max(values)))
        colour = "#e4572e" if name.startswith("pilot") else "#8aa1b8"
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 1}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y - 11}" width="{width:.1f}" height="15" rx="2" fill="{colour}"/>'
            f'<line x1="{_LEFT + low:.1f}" x2="{_LEFT + high:.1f}" y1="{y - 3}" y2="{y - 3}" stroke="#333"/>'
            f'<text class="v" x="{_LEFT + max(width, high) + 6:.1f}" y="{y + 1}">{short(median(values))}</text>')
    return y + 40


def write(folder: Path, name: str, results: Results, head: list[str]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.md", folder / f"{name}.svg"
    paths[0].write_text(table(results, [*head, "", f"![]({name}.svg)"]))
    paths[1].write_text(plot(results))
    return paths


def empty() -> Results:
    return defaultdict(lambda: defaultdict(list))
