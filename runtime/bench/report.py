"""The results, for a person, for a program and for a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.bench.job import FIGURES
from runtime.bench.plot import Bar, Group, bars, cell
from runtime.bench.rounds import Plan, Row
from runtime.bench.target import Target

if TYPE_CHECKING:
    from rich.table import Table

_PLOTTED_FIGURES = ("events_per_s", "ttft_p50_ms", "itl_p99_ms", "requests_per_s", "latency_p99_ms")
Line = list[str]


def grid(rows: Sequence[Row]) -> tuple[Line, list[Line]]:
    """(headings, lines): a line per number of streams and target; where there are two targets, how they compare."""
    keys = [key for key in FIGURES if any(row.values(key) for row in rows)]
    lines: list[Line] = []
    for streams in sorted({row.streams for row in rows}):
        here = [row for row in rows if row.streams == streams]
        lines += [[row.target, str(streams), *(cell(row.values(key)) for key in keys), _load(row)] for row in here]
        lines += [_ratios(here[0], other, keys) for other in here[1:]]
    return ["", "streams", *(FIGURES[key][0] for key in keys), "load CPU"], lines


def _ratios(one: Row, other: Row, keys: Sequence[str]) -> Line:
    return [f"{one.target} ÷ {other.target}", str(one.streams), *(_ratio(one, other, key) for key in keys), ""]


def _load(row: Row) -> str:
    return f"{max(result.load_cpu for result in row.rounds):.0%}"


def _ratio(one: Row, other: Row, key: str) -> str:
    a, b = one.median(key), other.median(key)
    return f"× {a / b:.2f}" if a is not None and b else ""


def table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    headings, lines = grid(rows)
    result = Table(*headings[:1])
    for heading in headings[1:]:
        result.add_column(heading, justify="right")
    for line in lines:
        result.add_row(*line, style="dim" if "÷" in line[0] else None)
    return result


def markdown(rows: Sequence[Row], head: Sequence[str]) -> str:
    headings, lines = grid(rows)
    marks = "|---|" + "---:|" * (len(headings) - 1)
    body = [f"| {' | '.join(line)} |" for line in (headings, *lines)]
    return "\n".join([*head, "", body[0], marks, *body[1:], ""])


def svg(rows: Sequence[Row]) -> str:
    first = rows[0].target if rows else ""
    groups = [
        Group(FIGURES[key][0] + (", longer is better" if FIGURES[key][1] else ", shorter is better"),
              [Bar(f"{row.target}, {row.streams}", row.values(key), row.target == first) for row in rows])
        for key in _PLOTTED_FIGURES if any(row.values(key) for row in rows)
    ]  # fmt: skip
    return bars(groups)


def document(rows: Sequence[Row], targets: Sequence[Target], plan: Plan) -> dict[str, Any]:
    """``--format json``. No headers or bodies: there may be a key in them."""
    return {
        "pilotlight": version("pilotlight"), "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "targets": [{"name": target.name, "url": target.url, "method": target.method} for target in targets],
        "plan": {"streams": plan.streams, "seconds": plan.seconds, "rounds": plan.rounds, "warm_up": plan.warm},
        "results": [_entry(row) for row in rows],
        "warnings": [warning for row in rows for warning in row.warnings()],
    }  # fmt: skip


def _entry(row: Row) -> dict[str, Any]:
    values_of = {key: values for key in FIGURES if (values := row.values(key))}
    return {
        "target": row.target, "streams": row.streams,
        "median": {key: row.median(key) for key in values_of},
        "lowest": {key: min(values) for key, values in values_of.items()},
        "highest": {key: max(values) for key, values in values_of.items()},
        "failed": sum(sum(one.failed.values()) for one in row.rounds),
        "rounds": msgspec.to_builtins(row.rounds),
    }  # fmt: skip


def machine() -> str:
    return (
        f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def write(
    folder: Path,
    rows: Sequence[Row],
    targets: Sequence[Target],
    plan: Plan,
    name: str = "bench",
    remarks: Sequence[str] = (),
) -> list[Path]:
    """NAME.md, NAME.svg and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    data = document(rows, targets, plan)
    head = [
        f"Pilotlight {data['pilotlight']}, {data['when']}. {data['machine']}. {plan.rounds} rounds of "
        f"{plan.seconds:g} s; medians, in brackets the lowest and the highest.",
        "",
        *remarks,
        "",
        f"![]({name}.svg)",
        "",
        *(f"* {target['name']}: {target['method']} {target['url']}" for target in data["targets"]),
    ]
    texts = {
        f"{name}.md": markdown(rows, head),
        f"{name}.svg": svg(rows),
        f"{name}.json": msgspec.json.format(msgspec.json.encode(data)).decode(),
    }
    for file, text in texts.items():
        (folder / file).write_text(text)
    return [folder / file for file in texts]
