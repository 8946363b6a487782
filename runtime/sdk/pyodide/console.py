"""An interactive console that awaits what it is given: ``await Console().push("1 + 1")``."""

from __future__ import annotations

import ast
import asyncio
import codeop
import contextlib
import io
import platform
import rlcompleter
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pyodide.code import eval_code_async  # type: ignore[import-not-found,unused-ignore]

BANNER = f'Python {platform.python_version()} on Pilotlight\nType "help" for more information.'
Status = Literal["incomplete", "syntax-error", "complete"]
INCOMPLETE, SYNTAX_ERROR, COMPLETE = "incomplete", "syntax-error", "complete"
_BREAKS = " \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?"


class ConsoleFuture(asyncio.Future[Any]):
    """What a line comes to. ``syntax_check``: whether it is whole; ``formatted_error``: what it raised, as text."""

    def __init__(self, syntax_check: str) -> None:
        super().__init__()
        self.syntax_check, self.formatted_error = syntax_check, None  # type: str, str | None


class _Written(io.TextIOBase):
    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def write(self, text: str) -> int:
        self._write(text)
        return len(text)


class Console:
    """Lines that belong together are kept until they are whole. What is printed meanwhile goes to the callbacks."""

    def __init__(
        self, globals: dict[str, Any] | None = None, *, stdin_callback: Callable[[int], str] | None = None,
        stdout_callback: Callable[[str], object] | None = None, stderr_callback: Callable[[str], object] | None = None,
        persistent_stream_redirection: bool = False, filename: str = "<console>", **options: object,
    ) -> None:  # fmt: skip
        self.globals = {"__name__": "__console__", "__doc__": None} if globals is None else globals
        self.stdin_callback, self.stdout_callback, self.stderr_callback = (
            stdin_callback,
            stdout_callback,
            stderr_callback,
        )
        self.filename, self.buffer = filename, list[str]()
        self._compiler = codeop.CommandCompiler()
        self._compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._lock = asyncio.Lock()

    def push(self, line: str) -> ConsoleFuture:
        self.buffer.append(line)
        done = self.runsource("\n".join(self.buffer), self.filename)
        if done.syntax_check != INCOMPLETE:
            self.buffer = []
        return done

    def runsource(self, source: str, filename: str = "<console>") -> ConsoleFuture:
        try:
            code = self._compiler(source, filename, "single")
        except (OverflowError, SyntaxError, ValueError) as error:
            failed = ConsoleFuture(SYNTAX_ERROR)
            failed.formatted_error = "".join(traceback.format_exception_only(error))
            failed.set_exception(error)
            return failed
        if code is None:
            waiting = ConsoleFuture(INCOMPLETE)
            waiting.set_result(None)
            return waiting
        return self._begun(source)

    def _begun(self, source: str) -> ConsoleFuture:
        result = ConsoleFuture(COMPLETE)

        def over(task: asyncio.Future[Any]) -> None:
            if (error := task.exception()) is not None:
                result.formatted_error = "".join(traceback.format_exception(error))
                result.set_exception(error)
            else:
                result.set_result(task.result())

        asyncio.ensure_future(self._run(source)).add_done_callback(over)
        return result

    async def _run(self, source: str) -> object:
        async with self._lock:
            with self.redirect_streams():
                return await eval_code_async(source, self.globals, filename=self.filename)

    @contextlib.contextmanager
    def redirect_streams(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self.stdout_callback is not None:
                stack.enter_context(contextlib.redirect_stdout(_Written(self.stdout_callback)))
            if self.stderr_callback is not None:
                stack.enter_context(contextlib.redirect_stderr(_Written(self.stderr_callback)))
            yield

    def complete(self, source: str) -> tuple[list[str], int]:
        """What its last word can go on as, and where that begins."""
        start = max(map(source.rfind, _BREAKS)) + 1
        completer, word = rlcompleter.Completer(self.globals), source[start:]
        found: list[str] = getattr(completer, "attr_matches" if "." in word else "global_matches")(word)
        return found, start


class PyodideConsole(Console):
    """The same: packages are installed before."""


def repr_shorten(value: object, limit: int = 1000, split: int | None = None, separator: str = "...") -> str:
    """``repr``, and of one that is longer its beginning and its end. Raises ValueError for a limit below 4."""
    if limit < 4:
        raise ValueError("limit must be greater than or equal to 4.")
    text = repr(value)
    kept = min(limit // 2 if split is None else split, len(text) // 2)
    return text if len(text) <= limit else f"{text[:kept]}{separator}{text[-kept:]}"


__all__ = ["BANNER", "Console", "ConsoleFuture", "PyodideConsole", "repr_shorten"]
