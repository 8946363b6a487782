"""What a script asks for and does not wait for is done all the same: ``env.KV.put("a", "b")`` without ``await``.

On Cloudflare a promise has begun when it is had; a coroutine begins when it is awaited. Python tells of one that is let
go before, and hands it back: one of the runtime's own functions begins there and then, ahead of whatever the script
asks for next, and goes on as ``ctx.waitUntil`` has it. Of the script's own there is Python's warning, as under Pyodide.
"""

from __future__ import annotations

import types
import warnings
from pathlib import Path
from typing import Any, Final, TypeAlias

import runtime
from runtime.isolate.calls.begun import begun
from runtime.isolate.script.errors import report
from runtime.web.scope import current_ctx

Call: TypeAlias = "types.CoroutineType[Any, Any, Any]"  # a class that Python 3.11 does not subscript

_HOUSE: Final = Path(runtime.__file__).parents[1]
_OURS = (f"{_HOUSE}/runtime/", f"{_HOUSE}/bindings/")


def begin() -> None:
    """For the whole process."""
    warnings._warn_unawaited_coroutine = _let_go  # type: ignore[attr-defined]  # CPython's hook, since 3.7


def _let_go(call: Call) -> None:
    ctx = current_ctx.get(None)
    if ctx is None or not call.cr_code.co_filename.startswith(_OURS):
        return warnings.warn(f"coroutine '{call.__qualname__}' was never awaited", RuntimeWarning, 2, source=call)
    try:
        rest = begun(call)
    except Exception as error:
        return report("not awaited", error)
    if rest is not None:
        ctx.wait_until(rest)


__all__ = ["begin"]
