"""A script's traceback as its author wants to read it: their frames and their libraries', none of ours."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bindings
import runtime

RUNTIME_FOLDERS = tuple(f"{Path(package.__path__[0]).resolve()}/" for package in (runtime, bindings))
_LIBRARY_FOLDERS = {"python_modules", "site-packages", "dist-packages"}
_FEW = 4  # frames on the way to the worker's code, which are shown as they are
_root = Path()
_names_from_root = False


def script_trace(exc: BaseException) -> str:
    """``traceback.format_exception`` without our frames and the import machinery's.

    Causes, contexts, notes, exception groups and a syntax error's own line and caret stay. Of what a framework does
    until it calls the worker's code there is one line; of what its code called, all.
    """
    report = traceback.TracebackException.from_exception(exc)
    for part in _parts(report):
        part.stack = _Folded(_fold([frame for frame in part.stack if _is_worker_frame(frame)]))
    text = "".join(report.format())
    return text.replace(f"{_root}/", "") if _names_from_root else text


def set_root(root: Path) -> None:
    """This process runs the worker in ``root``: places are named from there."""
    global _root
    _root = root


def name_from_root() -> None:
    """Tracebacks name files from the root as well: where a host keeps them is nobody's business."""
    global _names_from_root
    _names_from_root = True


def script_place(exc: BaseException) -> str:
    """``src/entry.py, line 3``: the innermost line of the worker's own that ``exc`` went through; else empty."""
    if isinstance(exc, SyntaxError) and exc.filename and exc.lineno and (where := place(exc.filename, exc.lineno)):
        return where
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(exc.__traceback__)]
    return next(filter(None, (place(file, line) for file, line in reversed(frames))), "")


def place(filename: str | Path, line: int | None = None) -> str:
    """A file of the worker's own, and a line, as a person would name them; else empty."""
    path = Path(filename)
    if not path.is_relative_to(_root) or str(path).startswith(RUNTIME_FOLDERS):
        return ""
    name = path.relative_to(_root)
    if _LIBRARY_FOLDERS.intersection(name.parts):
        return ""
    return f"{name}, line {line}" if line else str(name)


def remember_source(filename: str, source: str) -> None:
    """Let tracebacks quote the lines that run, not those a later save has put into the file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def _parts(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, those it came from, and the members of groups."""
    pending: list[traceback.TracebackException | None] = [report]
    while pending:
        part = pending.pop()
        if part is not None:
            yield part
            pending += [part.__cause__, part.__context__, *(part.exceptions or ())]


class _Fold(traceback.FrameSummary):
    """Stands for frames of libraries."""

    __slots__ = ("names", "number")

    def __init__(self, frames: list[traceback.FrameSummary]) -> None:
        super().__init__("", 0, "")
        self.number, self.names = len(frames), list(dict.fromkeys(_library(frame.filename) for frame in frames))


class _Folded(traceback.StackSummary):
    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **options: Any) -> str:
        if isinstance(frame_summary, _Fold):
            return f"  ... {frame_summary.number} calls of {', '.join(frame_summary.names)}\n"
        return super().format_frame_summary(frame_summary, **options)


def _fold(frames: list[traceback.FrameSummary]) -> Iterator[traceback.FrameSummary]:
    on_the_way: list[traceback.FrameSummary] = []
    for frame in frames:
        if not place(frame.filename):
            on_the_way.append(frame)
            continue
        yield from on_the_way if len(on_the_way) <= _FEW else [_Fold(on_the_way)]
        on_the_way.clear()
        yield frame
    yield from on_the_way


def _library(filename: str) -> str:
    """``starlette``, of a file that was imported from there."""
    homes = [home for home in sys.path if home and filename.startswith(f"{home}/")]
    below = filename.removeprefix(f"{max(homes, key=len)}/") if homes else Path(filename).name
    return below.partition("/")[0].removesuffix(".py")


def _is_worker_frame(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith((*RUNTIME_FOLDERS, "<frozen importlib", "<frozen runpy"))
