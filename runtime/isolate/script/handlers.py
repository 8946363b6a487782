"""From an entry script to one callable, ``(request, env, ctx) → Response``.

The three forms: ``class Default(WorkerEntrypoint)``, ``on_fetch(request, env, ctx)`` and ``fetch(request, env, ctx)``.
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CoroutineType, ModuleType
from typing import Any

from runtime import web
from runtime.errors import ScriptError
from runtime.isolate.script.entrypoints import DEFAULT, entrypoints, has_other_entries
from runtime.isolate.script.raw import ParsedRequest, RawRequest
from runtime.isolate.script.trace import place

FetchHandler = Callable[..., Coroutine[Any, Any, web.Response]]
_POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_thread_pool = ThreadPoolExecutor(64, thread_name_prefix="fetch")  # none begins before it is needed
_OUTBOUND = (web.fetch.__module__, "js")  # whose ``fetch`` asks others
_ENTRY_NAMES = (DEFAULT, "on_fetch", "fetch")
_EXAMPLE = """Write one of:
  async def fetch(request, env, ctx):
      return Response("hello")

  class Default(WorkerEntrypoint):
      async def fetch(self, request):
          return Response("hello")"""


_ASYNC_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_RETURN_REMEDIES = {
    "str": "return Response(text)",
    "bytes": "return Response(data)",
    "dict": "return Response.json(data)",
    "list": "return Response.json(data)",
    "int": "return Response(None, status=...)",
    "tuple": "return Response(body, status=...)",
    "generator": "async def with yield, so that it can be streamed",
}


def find_handler(module: ModuleType) -> FetchHandler:
    """The entry's handler; where the script has none but deals with other events, one that says so. Raises
    ``ScriptError`` when it has no entry at all, or more than one."""
    file = Path(str(module.__file__))
    _refuse_doubles(file)
    names = [name for name in _ENTRY_NAMES if _is_entry(module, name)]
    if not names:
        what = "class Default has no fetch" if hasattr(module, DEFAULT) else "this script has no entry"
        if not has_other_entries(module):
            raise ScriptError(what, where=place(file), remedy=_EXAMPLE)
        return _no_fetch(ScriptError(f"{what} for requests: it exports no fetch()", where=place(file), remedy=_EXAMPLE))
    if len(names) > 1:
        raise _ambiguous(file, " and ".join(names))
    return _class_handler(getattr(module, names[0])) if names[0] == "Default" else _function_handler(module, names[0])


def entrypoint_handler(module: ModuleType, name: str) -> FetchHandler:
    """The ``fetch`` of one of its classes. Raises ``ScriptError``."""
    known, where = entrypoints(module), place(Path(str(module.__file__)))
    if name not in known:
        raise ScriptError(f'this worker has no entrypoint "{name}"; it has: {", ".join(known) or "none"}', where=where)
    if not hasattr(known[name], "fetch"):
        raise ScriptError(f"class {name} has no fetch: Handler does not export a fetch() function.", where=where)
    return _class_handler(known[name])


def _is_entry(module: ModuleType, name: str) -> bool:
    value = getattr(module, name, None)
    # `from workers import fetch`, or `from js`, is the outbound one.
    return (
        callable(value)
        and getattr(value, "__module__", "") not in _OUTBOUND
        and (name != "Default" or hasattr(value, "fetch"))
    )


def _no_fetch(error: ScriptError) -> FetchHandler:
    async def handle(*event: object) -> web.Response:
        raise error

    return handle


def _refuse_doubles(file: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in ast.parse(file.read_bytes()).body if isinstance(node, kinds)]
    for name in _ENTRY_NAMES:
        if names.count(name) > 1:
            raise _ambiguous(file, f"{name} {names.count(name)} times")


def _ambiguous(file: Path, what: str) -> ScriptError:
    return ScriptError(f"this script has more than one entry: {what}", where=place(file), remedy="Keep one of them.")


def _function_handler(module: ModuleType, name: str) -> FetchHandler:
    function = getattr(module, name)
    _check_parameters(function, Path(str(module.__file__)))
    count, blocking, raw = parameter_count(function), not is_async(function), name == "on_fetch"

    def handle(request: web.Request, *others: object) -> Coroutine[Any, Any, web.Response]:
        if raw:
            request.__class__ = RawRequest
        return _answer(function, (request, *others)[:count], blocking)

    return handle


def _class_handler(cls: type[Any]) -> FetchHandler:
    bound = isinstance(inspect.getattr_static(cls, "fetch"), staticmethod | classmethod)
    count, blocking = parameter_count(cls.fetch) - (not bound), not is_async(cls.fetch)

    def handle(*event: object) -> Coroutine[Any, Any, web.Response]:
        event[0].__class__ = ParsedRequest
        return _answer(cls, event[:count], blocking, made_of=event)

    return handle


async def _answer(
    function: Callable[..., Any], args: tuple[Any, ...], blocking: bool, made_of: tuple[Any, ...] = ()
) -> web.Response:
    """``made_of``: the event, where ``function`` is a class; what that does in its constructor is part of it."""
    if made_of:
        _, env, ctx = made_of
        function = function(ctx, env).fetch
    result = await in_thread(function, args) if blocking else function(*args)
    while type(result) is CoroutineType or (not isinstance(result, web.Response) and inspect.isawaitable(result)):
        result = await result  # again where it is one of fetch(), returned by an async function
    try:
        return respond(result)
    except ScriptError as error:
        error.where = error.where or _location(function)
        raise


async def in_thread(
    function: Callable[..., Any], args: tuple[Any, ...] = (), context: contextvars.Context | None = None
) -> Any:
    """A plain function may block: it holds up nobody else. ``context``: where it runs; a copy of this one's."""
    run = (context or contextvars.copy_context()).run
    return await asyncio.get_running_loop().run_in_executor(_thread_pool, run, _call, function, args)


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return function(*args)
    except StopIteration as error:  # no future can carry it: the request would wait for ever
        raise RuntimeError(f"{function.__name__} raised StopIteration") from error


def respond(result: object) -> web.Response:
    """A ``Response`` as it is; a stream as ``text/event-stream``; anything else is refused with the fix."""
    if isinstance(result, web.Response):
        if result.type == "error":
            raise ScriptError("fetch returned Response.error(), which is no answer",
                              remedy='Response("upstream failed", status=502)')  # fmt: skip
        return result
    if isinstance(result, AsyncIterable):
        meta = getattr(getattr(result, "source", result), "meta", None) or {}
        return web.Response(result, headers={"content-type": "text/event-stream", **meta.get("headers", {})})
    kind = type(result).__name__
    raise ScriptError(
        f"fetch returned {kind}; it must return a Response or an async iterator",
        remedy=_RETURN_REMEDIES.get(kind, "return Response(...)"),
    )


def _check_parameters(function: Callable[..., Any], file: Path) -> None:
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in _POSITIONAL_KINDS]
    if len(needed) > 3:
        what = f"{function.__name__} has {len(needed)} parameters; it is called with (request, env, ctx)"
        raise ScriptError(what, where=place(file), remedy=_EXAMPLE)


def _location(function: Callable[..., Any]) -> str:
    """Where the handler stands; a callable object's is its ``__call__``."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return place(code.co_filename, code.co_firstlineno) if code is not None else ""


def is_async(function: Callable[..., Any]) -> bool:
    code = getattr(function, "__code__", None)  # of a method, too
    if code is not None and code.co_flags & _ASYNC_FLAGS:
        return True
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def parameter_count(function: Callable[..., Any]) -> int:
    """How many of (request, env, ctx) the function takes."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 4
    return sum(kind in _POSITIONAL_KINDS for kind in kinds)
