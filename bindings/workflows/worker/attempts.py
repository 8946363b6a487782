"""One attempt of a step: its function, within its time; what it raises, as it is kept, and as it is raised again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bindings.workflows.worker.values import packed
from runtime.isolate.script.errors import report
from runtime.isolate.script.handlers import in_thread, is_async
from runtime.isolate.script.trace import script_trace
from runtime.values import JsException

_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "TypeError": TypeError}  # that stay what they are
_NON_RETRYABLE = "NonRetryableError"
Failure = dict[str, str]


async def attempt(
    function: Callable[..., Any], arguments: Sequence[Any], timeout_ms: int, what: str
) -> tuple[bytes | None, Failure | None, bool]:
    """(its result, packed; or how it failed; whether it is not to be tried again). ``what`` it is, for the log."""
    task = asyncio.ensure_future(_called(function, arguments))
    task.add_done_callback(_looked_at)
    try:
        await asyncio.wait({task}, timeout=timeout_ms / 1000)
        if not task.done():  # whether it lets itself be cancelled or not
            late = f"WorkflowTimeoutError: Execution timed out after {timeout_ms}ms"
            return None, {"name": "Error", "message": late}, False
        if task.cancelled():
            raise RuntimeError("the step was cancelled")
        return packed(task.result()), None, False
    except Exception as error:
        report(what, error)
        return None, *_failure(error)
    finally:
        task.cancel()


async def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """A plain function may block: it runs in a thread."""
    try:
        result = function(*arguments) if is_async(function) else await in_thread(function, tuple(arguments))
        return await result if inspect.isawaitable(result) else result
    except (SystemExit, KeyboardInterrupt) as error:  # which would end the process
        raise RuntimeError(f"the step ended itself: {error!r}") from error


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _failure(error: Exception) -> tuple[Failure, bool]:
    trace = script_trace(error)
    if isinstance(error, _non_retryable()):
        return {"name": _NON_RETRYABLE, "message": str(error), "stack": trace}, True
    for name, kind in _KINDS.items():
        if isinstance(error, kind):
            return {"name": name, "message": str(error), "stack": trace}, False
    return {"name": "PythonError", "message": trace}, False


def exception_of(failure: Failure) -> Exception:
    """As the script that awaits the step catches it."""
    name, message = failure["name"], failure["message"]
    if name == _NON_RETRYABLE:
        return _non_retryable()(message)
    cause = JsException(message, name, failure.get("stack", ""))
    if (kind := _KINDS.get(name)) is None:
        return cause
    error = kind(f"{name}: {message}")
    error.__cause__ = cause
    return error


def _non_retryable() -> type[Exception]:
    found: type[Exception] = import_module("workers.workflows").NonRetryableError
    return found


__all__ = ["attempt", "exception_of"]
