"""From an entry script to its handler of an event that is no request: ``scheduled``, ``queue`` and what products bring.

``class Default`` has it as a method, ``scheduled(self, controller, env, ctx)``; a script without that class as a
function, ``on_scheduled(controller, env, ctx)`` or ``scheduled(controller, env, ctx)``. As ``fetch``, it may take fewer
parameters, and may be a plain function, which runs in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.errors import ScriptError
from runtime.isolate.script.entrypoints import DEFAULT
from runtime.isolate.script.handlers import in_thread, is_async, parameter_count
from runtime.isolate.script.trace import place

EventHandler = Callable[[object, object, object], Coroutine[Any, Any, object]]
"""``handler(subject, env, ctx)``; the script is handed these, or what ``subject.arguments`` has in their place."""


def find_event_handler(module: ModuleType, entrypoint: str, name: str) -> EventHandler:
    """``entrypoint``: the class whose method it is. Raises ``ScriptError`` when the script has none of that name."""

    async def handle(subject: object, env: object, ctx: object) -> object:
        entry = getattr(module, entrypoint, None)
        named = entrypoint == DEFAULT and entry is None
        function = _function(module, name) if named else getattr(entry and entry(ctx, env), name, None)
        if not callable(function):
            raise _missing(module, entrypoint, name)
        args = getattr(subject, "arguments", (subject, env, ctx))[: parameter_count(function)]
        result = function(*args) if is_async(function) else await in_thread(function, args)
        return await result if inspect.isawaitable(result) else result

    return handle


def _function(module: ModuleType, name: str) -> object:
    return getattr(module, f"on_{name}", None) or getattr(module, name, None)


def _missing(module: ModuleType, entrypoint: str, name: str) -> ScriptError:
    return ScriptError(
        f"this script has no {name} handler" if entrypoint == DEFAULT else f"this script has no {entrypoint}.{name}",
        where=place(Path(str(module.__file__))),
        remedy=f"class {entrypoint}(WorkerEntrypoint):\n    async def {name}(self, event, env, ctx):\n        ...",
    )
