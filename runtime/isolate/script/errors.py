"""What a script raises, on its way to the supervisor."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from runtime.errors import ScriptError
from runtime.isolate.script.remedies import remedy_of
from runtime.isolate.script.trace import script_place, script_trace
from runtime.wire.errors import MAX_TEXT_CHARS


class ScriptFailure(Exception):
    """A script's exception: plain fields instead of frames."""

    def __init__(self, name: str, message: str, fields: dict[str, Any]) -> None:
        self.name, self.fields = name, fields
        super().__init__(message)


def as_failure(error: BaseException) -> ScriptFailure:
    """``error`` as a ``ScriptError`` that can cross: a file's name in it may not be text, a frame is."""
    if isinstance(error, ScriptError):
        where, what, remedy, trace = error.where or script_place(error), error.what, error.remedy, error.trace
    else:
        where, what, remedy, trace = script_place(error), summary(error), remedy_of(error), script_trace(error)
    if '  File "' not in trace:  # it says no more than ``what`` does
        trace = ""
    fields = {"where": where, "remedy": remedy, "trace": trace}
    return ScriptFailure("ScriptError", _text(what), {key: _text(value) for key, value in fields.items()})


def as_remote(error: BaseException) -> ScriptFailure:
    """``error`` as another worker catches it: its type is not rebuilt, its traceback is the message."""
    if isinstance(error, ScriptError):
        return ScriptFailure("Error", _text(str(error)), {"remote": True})
    trace = _text(script_trace(error).rstrip())
    if len(trace) > MAX_TEXT_CHARS:
        trace = (
            trace[: MAX_TEXT_CHARS // 4] + "\n...\n" + trace[-MAX_TEXT_CHARS // 2 :]
        )  # the last line says what it was
    return ScriptFailure("PythonError", trace, {"remote": True})


def ended_by_runtime(error: BaseException) -> bool:
    """Whether the runtime itself ends this task: the client left, the stream is not wanted any more.

    A ``CancelledError`` that the script raised, or got from a task of its own, is an error like any other.
    """
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def summary(error: BaseException) -> str:
    """``ZeroDivisionError: division by zero``."""
    if isinstance(error, SystemExit):
        return f"the script ended itself: SystemExit({'' if error.code is None else error.code})"
    try:
        message = str(error)
    except Exception:
        message = "<its message cannot be had>"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def report(what: str, error: BaseException) -> None:
    """Tell the person of an exception that no answer can: ``what`` failed."""
    where = ": ".join(filter(None, (script_place(error), summary(error))))
    print(f"✘ {what}: {where}\n{script_trace(error)}", file=sys.stderr)


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
