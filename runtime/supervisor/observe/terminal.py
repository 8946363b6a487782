"""For people: calm, aligned lines; colour and live progress on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from time import monotonic
from typing import Literal

from runtime.controls import clean, clean_lines, clean_output
from runtime.errors import ScriptError
from runtime.supervisor.observe import layout
from runtime.supervisor.observe.base import Banner, Observer, RequestRecord
from runtime.supervisor.observe.live import Live
from runtime.supervisor.observe.output import Output, same_file
from runtime.supervisor.observe.throttle import Throttle

SIGNS = {"warning": ("▲", "yellow"), "error": ("✘", "red"), "done": ("✓", "green"), "reload": ("↻", "cyan")}


class TerminalObserver(Observer):
    """Writes to stdout; the worker's own stderr goes to stderr."""

    def __init__(self, level: str) -> None:
        super().__init__(level)
        self._tty = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._paint = layout.painter(self._tty and not os.environ.get("NO_COLOR"))
        self._output = Output(sys.stdout)
        self._stderr = self._output if same_file(sys.stdout, sys.stderr) else Output(sys.stderr)
        self._live: Live | None = None
        self._throttle = Throttle(step=0.25, every_s=15.0)
        self._column = layout.Column()
        self._importing = False
        self._last_error: tuple[str, float] = ("", 0.0)  # the last script error, and when

    # --- what happened ---

    def banner(self, banner: Banner) -> None:
        if self.shows("info"):
            self._write(*layout.banner(self._paint, self._width(), banner))
        warnings = [warning for one in (banner, *banner.others) for warning in one.warnings]
        for warning in warnings:
            self.warn(warning)
        if warnings and self.shows("warning"):
            self._write("")

    def ready(self, url: str, *, keys: bool = False) -> None:
        hint = self._paint("Ctrl-C stops · ? shows the keys" if keys else "Ctrl-C stops", dim=True)
        self._write(f"  Ready on {self._paint(url, fg='cyan', bold=True)}   {hint}", "")

    def tell(self, *lines: str) -> None:
        self._write(*lines)

    def clear(self) -> None:
        if self._tty:
            self._write("\x1b[H\x1b[2J\x1b[3J", end="")

    def request(self, request: RequestRecord) -> None:
        if not self.shows(self.level_of(request.status, request.note)):
            return
        whose = self._whose(request.worker)
        alarm, facts = layout.facts(request, with_id=request.status >= 500 or self.shows("debug"))
        width = self._width() - len(whose)
        room = self._column.room(width, clean(request.path), len(" · ".join(filter(None, [alarm, *facts]))))
        line = layout.request(self._paint, room, request, facts, alarm)
        self._write(self._paint(whose, dim=True) + line if whose else line)

    def reloaded(self, version: int, ms: float, files: Sequence[str]) -> None:
        if self.shows("info"):
            what = self._paint(f"v{version}  {layout.some(files)}", dim=True)
            self._sign("reload", f"reloaded in {layout.duration(ms)}  {what}")

    def importing(self, worker: str, script: str, seconds: float, what: str, url: str | None = None) -> None:
        if url is not None and not self._importing:
            self.note(f"{url} answers once {script} is imported")
        self._importing = True
        self.note(f"importing {script} ({seconds:g} s){f': {what}' if what else ''} …")

    def blocked(self, worker: str, seconds: float, waiting: Sequence[str], where: str, trace: str) -> None:
        if self.shows("warning"):
            self._sign("warning", clean_lines(layout.blocked(worker, seconds, waiting, where)))
            self._write("", *(f"  {line}" for line in clean_lines(trace).splitlines()), "")

    def stopping(self, reason: str, waiting: Sequence[str] = (), seconds: float = 0) -> None:
        if self.shows("info"):
            self._write("", *(f"  {line}" for line in layout.stopping(reason, waiting, seconds)))

    def close(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None
        self._output.close()
        self._stderr.close()

    # --- what is said ---

    def debug(self, text: str) -> None:
        if self.shows("debug"):
            self._write(self._paint(f"  {layout.hang(clean_lines(text), 2)}", dim=True))

    def note(self, text: str) -> None:
        if self.shows("info"):
            self._write(f"  {layout.hang(clean_lines(text), 2)}")

    def warn(self, text: str) -> None:
        if self.shows("warning"):
            self._sign("warning", clean_lines(text))

    def error(self, text: str, worker: str | None = None) -> None:
        self._sign("error", self._whose(worker) + clean_lines(text))

    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        """A browser asks for its icon right after the page: the same error need not be read twice."""
        previous, at, now = *self._last_error, monotonic()
        if previous == f"{err}{err.trace}" and now - at < 1:
            return
        self._last_error = (f"{err}{err.trace}", now)
        self.error(str(err), worker)
        if err.trace:
            self._write("", clean_lines(err.trace.rstrip("\n")), "")

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        self._sign("error", "internal error" + (f", request {request_id}" if request_id else ""))
        self._write(clean_lines("".join(traceback.format_exception(exc)).rstrip("\n")))

    def worker_output(self, name: str, stream: Literal["stdout", "stderr"], line: str) -> None:
        """A person's own worker keeps its colours; of the many of a host, which others wrote, nothing is obeyed."""
        if self.several:
            line = self._paint(self._whose(name), dim=True) + clean_lines(line.rstrip("\r"))
        else:
            line = clean_output(line)
        self._write(line, to=self._stderr if stream == "stderr" else self._output)

    # --- loading models ---

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        if not self.shows("info") or self._output.broken:
            return
        if self._tty:
            self._live = self._live or Live(self._output)
            self._live.show(clean(key), stage, fraction, clean(detail))
        elif self._throttle.passes(key, stage, fraction):
            share = "" if fraction is None else f" {fraction:.0%}"
            self._write(clean(f"  {key}: {stage}{share}{'  ' + detail if detail else ''}"))

    def progress_done(self, key: str, text: str) -> None:
        if self._live is not None:
            self._live.drop(clean(key))
        self._throttle.forget(key)
        if text and self.shows("info"):
            self._sign("done", clean_lines(text))

    # --- the screen ---

    def _whose(self, worker: str | None) -> str:
        """``NAME │ ``, where there are several."""
        return f"{clean(worker)} │ " if worker and self.several else ""

    def _sign(self, kind: str, text: str) -> None:
        glyph, colour = SIGNS[kind]
        self._write(f"{self._paint(glyph, fg=colour)} {layout.hang(text, 2)}")

    def _write(self, *lines: str, to: Output | None = None, end: str = "\n") -> None:
        text, output = "\n".join(lines) + end, to or self._output
        if self._live is None:
            output.write(text)
        else:
            with self._live.aside():
                output.write(text)

    def _width(self) -> int:
        return shutil.get_terminal_size((100, 24)).columns if self._tty else 100
