"""How an object fails, and how its callers hear of it. Facts: docs/reference/bindings.md#durable-objects."""

from __future__ import annotations

from bindings.messages import CallError
from runtime.isolate.script.trace import script_trace

STALE = "Durable Object storage was taken over by a newer process; this one may write no more."
STORAGE_FAILED = "Internal error in Durable Object storage caused object to be reset."
WAITED_TOO_LONG = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and the Durable "
    "Object was reset."
)
OVERLOADED = "Durable Object is overloaded. Too many requests queued."


def reset(text: str) -> CallError:
    """The object is gone from memory; a stub that has heard of it fails from then on."""
    return CallError("Error", text, durableObjectReset=True, remote=True)


def raised(error: BaseException, **fields: object) -> CallError:
    """What a class has raised, as a caller catches it: with its traceback."""
    if isinstance(error, CallError):
        return error
    return CallError("PythonError", script_trace(error).rstrip(), remote=True, **fields)


__all__ = [
    "OVERLOADED", "STALE", "STORAGE_FAILED", "WAITED_TOO_LONG", "raised", "reset",
]  # fmt: skip
