"""Bars in an SVG: the median as the bar, the spread as a line."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from xml.sax.saxutils import escape

import msgspec

_BAR, _LEFT, _WIDE, _RIGHT = 22, 210, 420, 150
_OURS, _OTHERS = "#e4572e", "#8aa1b8"
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600}.v{fill:#666}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.v{fill:#aaa}}"
)


class Bar(msgspec.Struct, frozen=True):
    label: str
    values: Sequence[float]
    ours: bool = False


class Group(msgspec.Struct, frozen=True):
    title: str
    bars: Sequence[Bar]


def bars(groups: Sequence[Group]) -> str:
    """Groups below each other, each to its own scale. A bar without values is left out."""
    parts: list[str] = []
    y = 20
    for group in groups:
        y = _group(parts, group, y)
    size = f'width="{_LEFT + _WIDE + _RIGHT}" height="{y}" viewBox="0 0 {_LEFT + _WIDE + _RIGHT} {y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>{"".join(parts)}</svg>\n'


def _group(parts: list[str], group: Group, y: int) -> int:
    most = max((max(bar.values) for bar in group.bars if bar.values), default=1) or 1
    parts.append(f'<text class="t" x="10" y="{y}">{escape(group.title)}</text>')
    for bar in group.bars:
        if bar.values:
            y += _BAR
            parts.append(_bar(bar, most, y))
    return y + 40


def _bar(bar: Bar, most: float, y: int) -> str:
    width, low, high = (_WIDE * value / most for value in (median(bar.values), min(bar.values), max(bar.values)))
    return (
        f'<text x="{_LEFT - 8}" y="{y + 1}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{_LEFT}" y="{y - 11}" width="{width:.1f}" height="15" rx="2" '
        f'fill="{_OURS if bar.ours else _OTHERS}"/>'
        f'<line x1="{_LEFT + low:.1f}" x2="{_LEFT + high:.1f}" y1="{y - 3}" y2="{y - 3}" stroke="#333"/>'
        f'<text class="v" x="{_LEFT + max(width, high) + 6:.1f}" y="{y + 1}">{short(median(bar.values))}</text>'
    )


def cell(values: list[float]) -> str:
    """The median, and the spread where there are several; empty without any."""
    if not values:
        return ""
    spread = f" ({short(min(values))}-{short(max(values))})" if len(values) > 1 else ""
    return short(median(values)) + spread


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
