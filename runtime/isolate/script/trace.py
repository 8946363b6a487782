"""A script's traceback as its author wants to read it: their frames and their libraries', none of ours."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path

import bindings
import runtime

RUNTIME_FOLDERS = tuple(f"{Path(package.__path__[0]).resolve()}/" for package in (runtime, bindings))
_LIBRARY_FOLDERS = {"python_modules", "site-packages", "dist-packages"}
_root = Path()
_names_from_root = False


def script_trace(exc: BaseException) -> str:
    """``traceback.format_exception`` without our frames and the import machinery's.

    Causes, contexts, notes, exception groups and a syntax error's own line and caret stay.
    """
    report = traceback.TracebackException.from_exception(exc)
    for part in _parts(report):
        part.stack = traceback.StackSummary.from_list([frame for frame in part.stack if _is_worker_frame(frame)])
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


def _is_worker_frame(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith((*RUNTIME_FOLDERS, "<frozen importlib", "<frozen runpy"))
