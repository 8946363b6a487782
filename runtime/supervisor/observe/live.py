"""One live line per loading model, at the foot of the terminal. The only place that imports rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from runtime.supervisor.observe.output import Output

if TYPE_CHECKING:
    from rich.live import Live as Display
    from rich.progress import TaskID

NARROW_COLUMNS = 80  # columns below which the bar and the clock give way to the model's name


class Live:
    """Progress lines: there while something loads, out of the way while anything else is written."""

    def __init__(self, output: Output) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

        # Through Output, since rich itself ends the process when the terminal goes away.
        self._console = Console(file=cast("IO[str]", output), force_terminal=True)
        columns: list[ProgressColumn] = [
            TextColumn("  {task.description}", markup=False),
            TextColumn("{task.fields[stage]}", markup=False, style="dim"),
            TextColumn("{task.fields[share]:>4}", markup=False),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
        ]
        if self._console.width >= NARROW_COLUMNS:
            columns[2:2] = [BarColumn(bar_width=20)]
            columns.append(TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, auto_refresh=False)
        self._tasks: dict[str, TaskID] = {}
        self._display: Display | None = None

    def show(self, key: str, stage: str, fraction: float | None, detail: str) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(key, total=None, stage="", share="", detail="")
        self._progress.update(
            self._tasks[key],
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
            stage=stage,
            share="" if fraction is None else f"{fraction:.0%}",
            detail=detail,
        )
        if self._display is None:
            self._start()

    def drop(self, key: str) -> None:
        with self.aside():
            if key in self._tasks:
                self._progress.remove_task(self._tasks.pop(key))

    def close(self) -> None:
        self._tasks.clear()
        self._stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the live lines off the screen, and put them back below what was written."""
        self._stop()
        try:
            yield
        finally:
            if self._tasks:
                self._start()

    def _start(self) -> None:
        """A new display each time: a restarted one would draw over what was written since."""
        from rich.live import Live as Display

        self._display = Display(
            get_renderable=self._progress.get_renderable,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=4,
        )
        self._display.start(refresh=True)

    def _stop(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None
