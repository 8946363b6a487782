"""How lines look: pure functions from facts to text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from runtime.controls import clean
from runtime.supervisor.observe.base import BROKE_OFF, Banner, RequestRecord

Paint = Callable[..., str]  # paint(text, fg="green", bold=True, dim=True)

METHOD, PATH, MS = 7, 32, 8  # columns of a request line
FLAME = "◆"


def painter(colour: bool) -> Paint:
    """``click.style``, or text as it is where colour is not wanted."""

    def plain(text: object, **_: object) -> str:
        return str(text)

    return click.style if colour else plain


def duration(ms: float) -> str:
    if ms >= 9_950:
        return f"{ms / 1000:.1f} s"
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.1f} ms" if ms < 9.95 else f"{ms:.0f} ms"


def clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 1)] + "…"


def hang(text: str, indent: int) -> str:
    """Continuation lines under the first one."""
    return text.replace("\n", "\n" + " " * indent)


def banner(paint: Paint, width: int, banner: Banner) -> list[str]:
    subject = "  ".join(clean(part) for part in (banner.name, banner.config_path) if part)
    title = f"{paint(FLAME, fg='yellow')} {paint('pilotlight', bold=True)} {paint(banner.version, dim=True)}"
    lines = ["", f"  {title}   {subject}"]
    if banner.bindings:
        lines += ["", *table(paint, width, banner.bindings)]
    for other in banner.others:
        subject = "  ".join(clean(part) for part in (other.name, other.config_path, other.url) if part)
        lines += ["", f"    {subject}", *(table(paint, width, other.bindings) if other.bindings else ())]
    if banner.remarks:
        lines += ["", *(f"    {hang(line, 4)}" for line in banner.remarks)]
    return [*lines, ""]


def table(paint: Paint, width: int, bindings: Sequence[tuple[str, str, str]]) -> list[str]:
    """``env.NAME   what   where``, in columns as wide as what they hold."""
    rows = [(f"env.{clean(name)}", clean(what), clean(where)) for name, what, where in bindings]
    first, second = (min(max(len(row[at]) for row in rows), width // 2) for at in (0, 1))
    room = max(width - first - second - 10, 12)
    return [
        f"    {row[0]:<{first}}   {paint(f'{row[1]:<{second}}', dim=True)}   {clip(row[2], room)}".rstrip()
        for row in rows
    ]


def request(paint: Paint, room: int, record: RequestRecord, facts: Sequence[str], alarm: str = "") -> str:
    """``GET  /path  200  12 ms  first token 45 ms · 87 tokens · 61.2/s``; ``room`` columns for the path."""
    parts = [
        f"  {paint(f'{clean(record.method):<{METHOD}}', bold=True)} {clean(record.path):<{room}}",
        paint(str(record.status), fg=status_colour(record.status)),
        paint(f"{duration(record.ms):>{MS}}", dim=True),
        paint(alarm, fg="red"),
        paint(" · ".join(facts), dim=True),
    ]
    return "  ".join(part for part in parts if part)


class Column:
    """Where the paths end: as wide as the longest path so far, within the terminal."""

    def __init__(self) -> None:
        self._widest = PATH

    def room(self, width: int, path: str, facts_width: int) -> int:
        """For this path, beside facts of ``told`` characters, which take the padding's place rather than wrap."""
        if len(path) <= width - METHOD - MS - 14 - 20:
            self._widest = max(self._widest, len(path))
        return max(min(self._widest, width - METHOD - MS - 14 - max(facts_width, 20)), 1)


def status_colour(status: int) -> str:
    return {2: "green", 3: "cyan", 4: "yellow"}.get(status // 100, "red")


def facts(record: RequestRecord, with_id: bool) -> tuple[str, list[str]]:
    """(what should be alarming of an answer, "" of most; what else is known of it)."""
    first, tokens = "byte" if record.tokens is None else "token", record.tokens
    parts = [f"first {first} {duration(record.first_ms)}"] if record.first_ms is not None else []
    parts += [f"{tokens} token{'' if tokens == 1 else 's'}"] if tokens is not None else []
    parts += [f"{record.tokens_per_s:.1f}/s"] if record.tokens_per_s is not None else []
    alarm, note = (BROKE_OFF, None) if record.note == BROKE_OFF else ("", record.note)
    return alarm, parts + [clean(text) for text in (note, record.request_id if with_id else None) if text]


def blocked(worker: str, seconds: float, waiting: Sequence[str], where: str) -> str:
    """What hangs, who waits for it, and what to write instead."""
    at = f" at {where}" if where else ""
    return (
        f"{worker} has blocked its event loop for {seconds:g} s{at}\n{requests(waiting)}\n"
        "Await what takes long, or write a plain def, which runs in a thread."
    )


def stopping(reason: str, waiting: Sequence[str], seconds: float) -> list[str]:
    """What is awaited, how long at most, and how not to."""
    if not waiting or not seconds:
        return [f"Stopping: {reason}"]
    count = "1 request is" if len(waiting) == 1 else f"{len(waiting)} requests are"
    again = "Ctrl-C again" if reason == "SIGINT" else "SIGTERM again" if reason == "SIGTERM" else "SIGTERM"
    awaited = f"{count} awaited for up to {seconds:g} s; {again} ends it at once"
    return [f"Stopping: {reason}", awaited, some([*dict.fromkeys(waiting)])]


def requests(waiting: Sequence[str]) -> str:
    """``3 requests wait: GET /a, GET /b``; ``waiting`` are their methods and paths."""
    if len(waiting) < 2:
        return f"1 request waits: {clean(waiting[0])}" if waiting else "no request waits for it"
    return f"{len(waiting)} requests wait: {some([*dict.fromkeys(waiting)])}"


def some(files: Sequence[str], most: int = 3) -> str:
    """``a.py, b.py, c.py and 4 more``."""
    shown = ", ".join(clean(file) for file in files[:most])
    return f"{shown} and {len(files) - most} more" if len(files) > most else shown
