"""What the models' machinery tells a person: on standard error, for standard output is the answer's."""

from __future__ import annotations

import sys
import traceback

import click

from runtime.controls import clean_lines
from runtime.errors import ScriptError

_CLEAR = "\r\x1b[K"


class Telling:
    """A ``bindings.base.ProductObserver``. ``shows``: notes too, not warnings alone. ``live``: a line says how far a
    model's loading is. ``warned``: all warnings so far."""

    def __init__(self, *, shows: bool = True) -> None:
        self._shows, self.live = shows, shows and sys.stderr.isatty()
        self.warned = ""

    def debug(self, text: str) -> None:
        """What engines' libraries print."""

    def note(self, text: str) -> None:
        if self._shows:
            self._say(text)

    def warn(self, text: str) -> None:
        self.warned += text
        self._say(text)

    def error(self, text: str, worker: str | None = None) -> None:
        self._say(text)

    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        self._say(str(err))

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        self._say("".join(traceback.format_exception(exc)))

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        if self.live:
            share = "" if fraction is None else f" {fraction:.0%}"
            sys.stderr.write(_CLEAR + f"{clean_lines(key)}: {stage}{share} {detail}"[: _columns() - 1])
            sys.stderr.flush()

    def progress_done(self, key: str, text: str) -> None:
        if self.live:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def _say(self, text: str) -> None:
        self.progress_done("", "")
        click.echo(click.style(clean_lines(text), dim=True), err=True)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


__all__ = ["Telling"]
