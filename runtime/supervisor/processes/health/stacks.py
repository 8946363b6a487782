"""Where an isolate that gives no sign of life is: its stacks, asked for and read."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from traceback import FrameSummary, StackSummary

from runtime.isolate import stack as isolate_stack
from runtime.isolate.script.trace import RUNTIME_FOLDERS

_FIRST_LINE_TIMEOUT_S = 1.0  # seconds for the first line of an answer
_LAST_LINE_PAUSE_S = 0.05  # seconds without a line: it was the last
_MAX_LINES, _MAX_LINE = 2_000, 1_000  # lines of an answer, characters of each: whoever has the pipe can write more
_MAX_SOURCE_BYTES = 4 * 1024 * 1024  # of a file that a line is quoted from
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_LIBRARY = re.compile(r".*/(?:(?:site|dist)-packages|python_modules|python3\.\d+(?:/lib-dynload)?)/(\w+)")
_RUNTIME_FILES = (*RUNTIME_FOLDERS, "<frozen ")

Stack = list[FrameSummary]  # the innermost frame last


class Stacks:
    """One isolate's. ``heard`` takes the lines it tells."""

    def __init__(self, root: Path) -> None:
        self.pid: int | None = None  # there is none for a worker in this very process
        self._root, self._began = root, time.time()
        self._lines: list[str] = []
        self._more = asyncio.Event()

    def heard(self, line: str) -> None:
        if len(self._lines) < _MAX_LINES:
            self._lines.append(line[:_MAX_LINE])
            self._more.set()

    async def now(self) -> Stack:
        """The worker's part of what its main thread does, else of what a thread does; empty where it has none."""
        for number in (isolate_stack.MAIN_THREAD, isolate_stack.EVERY_THREAD):
            for found in map(self._from_worker, await self._ask(number)):
                if found:
                    return found
        return []

    def place(self, frames: Stack) -> str:
        """``entry.py, line 3, in fetch``: the innermost line of the worker's own."""
        own = next((frame for frame in reversed(frames) if self._is_own(frame)), None)
        return f"{os.path.relpath(own.filename, self._root)}, line {own.lineno}, in {own.name}" if own else ""

    def importing(self, frames: Stack) -> str:
        """The package that the worker's innermost line imports, else that line."""
        last = max((at for at, frame in enumerate(frames) if self._is_own(frame)), default=-1)
        modules = (_LIBRARY.match(frame.filename) for frame in frames[last + 1 :] if frame.name == "<module>")
        return next((found[1] for found in modules if found), self.place(frames).removesuffix(", in <module>"))

    def text(self, frames: Stack) -> str:
        """As in a traceback, named from the worker's folder."""
        return "".join(StackSummary.from_list(frames).format()).replace(f"{self._root}/", "")

    async def _ask(self, number: int) -> list[Stack]:
        self._lines.clear()
        if self.pid is None:
            return []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)
            await self._quiet()
        return _threads(self._lines)

    async def _quiet(self) -> None:
        patience = _FIRST_LINE_TIMEOUT_S
        with contextlib.suppress(TimeoutError):
            while len(self._lines) < _MAX_LINES:
                self._more.clear()
                async with asyncio.timeout(patience):
                    await self._more.wait()
                patience = _LAST_LINE_PAUSE_S

    def _from_worker(self, frames: Stack) -> Stack:
        """From the worker's outermost line on: before that are the event loop and we."""
        theirs = [frame for frame in frames if not frame.filename.startswith(_RUNTIME_FILES)]
        first = next((at for at, frame in enumerate(theirs) if self._is_own(frame)), len(theirs))
        return [self._quoted(frame) for frame in theirs[first:]]

    def _quoted(self, frame: FrameSummary) -> FrameSummary:
        """With its line, unless the file was saved since: then the code that runs reads otherwise."""
        if not self._can_be_quoted(frame.filename):
            return FrameSummary(frame.filename, frame.lineno, frame.name, line="")
        linecache.checkcache(frame.filename)
        return FrameSummary(frame.filename, frame.lineno, frame.name)

    def _can_be_quoted(self, path: str) -> bool:
        """A worker may name any file: of its own, or of Python's, one that does not take for ever to read."""
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(os.path.realpath(self._root)) and _LIBRARY.match(real) is None:
            return False
        with contextlib.suppress(OSError, ValueError):
            state = os.stat(real)
            return stat.S_ISREG(state.st_mode) and state.st_size <= _MAX_SOURCE_BYTES and state.st_mtime <= self._began
        return False

    def _is_own(self, frame: FrameSummary) -> bool:
        return Path(frame.filename).is_relative_to(self._root) and _LIBRARY.match(frame.filename) is None


def _threads(lines: Iterable[str]) -> list[Stack]:
    """faulthandler's words: a head for each thread, then its frames from the innermost on."""
    threads: list[Stack] = []
    for line in lines:
        if "most recent call first" in line:
            threads.append([])
        elif threads and (found := _FRAME.match(line)):
            file, number, name = map(_unescaped, found.groups())
            threads[-1].insert(0, FrameSummary(file, int(number), name, lookup_line=False))
    return threads


def _unescaped(text: str) -> str:
    """faulthandler writes ASCII."""
    return _ESCAPED.sub(lambda found: found[0].encode().decode("unicode_escape"), text)


__all__ = ["Stack", "Stacks"]
