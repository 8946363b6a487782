"""What a worker imports: ``from workers import Response, WorkerEntrypoint``.

The Web API types, the base class of a worker, and ``env`` and ``wait_until`` for code that was not handed
``env`` and ``ctx``. This package exists inside a worker's process only.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from runtime.isolate import ambient
from runtime.isolate.calls.stubs import RpcTarget
from runtime.web import (
    URL,
    AbortController,
    AbortError,
    AbortSignal,
    Blob,
    BlobEnding,
    File,
    FormData,
    Headers,
    ReadableStream,
    Request,
    Response,
    URLSearchParams,
    fetch,
)
from runtime.web.scope import current_ctx, current_env

__all__ = [
    "URL", "AbortController", "AbortError", "AbortSignal", "Blob", "BlobEnding", "DurableObject", "FetchResponse",
    "File", "FormData", "Headers", "ReadableStream", "Request", "Response", "RpcTarget", "URLSearchParams",
    "WorkerEntrypoint", "WorkflowEntrypoint", "env", "fetch", "handler", "import_from_javascript", "patch_env",
    "python_from_rpc", "python_to_rpc", "waitUntil", "wait_until",
]  # fmt: skip

_PARTS = ("blob", "entrypoints", "fetch", "formdata", "request", "response", "rpc", "utils")
"""Modules of the SDK's package, whose names are all the package's: ``from workers.response import Response``."""
sys.modules.update((f"{__name__}.{part}", sys.modules[__name__]) for part in _PARTS)

_TYPES = (  # for annotations, and what is caught, which few workers have
    "BlobValue", "Body", "Context", "DurableObjectAbort", "DurableObjectContext", "FetchKwargs", "FormDataValue",
    "JSBody", "JsDict", "RequestInitCfProperties",
)  # fmt: skip
FetchResponse = Response
V = TypeVar("V")
T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Any])


class _Handling:
    """Whose handlers may be called as a module's are: ``on_fetch``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("fetch", "scheduled", "queue", "email", "tail", "alarm"):
            if name not in vars(cls) and (handler := vars(cls).get(f"on_{name}")) is not None:
                setattr(cls, name, handler)


class WorkerEntrypoint(_Handling):
    """Base of a worker written as a class.

        class Default(WorkerEntrypoint):
            async def fetch(self, request): ...

    ``self.env`` has the bindings and ``self.ctx`` the event's ``wait_until`` and ``props``.
    """

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx, self.env = ctx, env


class WorkflowEntrypoint:
    """Base of a workflow: ``async def run(self, event, step)``, begun anew for each instance."""

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx, self.env = ctx, env


class DurableObject(_Handling):
    """Base of a class whose objects live on between events, one at a time for each id.

        class Counter(DurableObject):
            async def increment(self):
                value = (await self.ctx.storage.get("value") or 0) + 1
                await self.ctx.storage.put("value", value)
                return value

    ``self.env`` has the bindings, ``self.ctx`` the object's ``id`` and ``storage``.
    """

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx, self.env = ctx, env


ENTRYPOINTS: tuple[type[Any], ...] = (WorkerEntrypoint, WorkflowEntrypoint, DurableObject)
"""The bases of the classes that can be named from outside of a script."""


class _Env:
    """The bindings of the event being served, as the ``env`` a handler is given."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_current(current_env, "env"), name)

    def __getitem__(self, name: str) -> Any:
        return _current(current_env, "env")[name]

    def __contains__(self, name: object) -> bool:
        return name in _current(current_env, "env")

    def __iter__(self) -> Iterator[str]:
        return iter(_current(current_env, "env"))

    def __repr__(self) -> str:
        current = current_env.get(None)
        return "<env: no event is being served>" if current is None else repr(current)


env = _Env()


def wait_until(work: Awaitable[Any]) -> None:
    """Let ``work`` go on after the response has been sent: ``ctx.wait_until`` of the event being served."""
    _current(current_ctx, "wait_until()").wait_until(work)


waitUntil = wait_until


@contextmanager
def patch_env(values: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None, **more: Any) -> Iterator[None]:
    """Within the block ``env`` of this module has these in place of what it has."""
    token = current_env.set(_Patched(_current(current_env, "patch_env()"), {**dict(values or {}), **more}))
    try:
        yield
    finally:
        current_env.reset(token)


class _Patched:
    def __init__(self, under: Any, values: dict[str, Any]) -> None:
        self._under, self._values = under, values

    def __getattr__(self, name: str) -> Any:
        return self._values[name] if name in self._values else getattr(self._under, name)

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._under[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self._under

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._under, *self._values]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def python_to_rpc(value: object) -> Any:
    """What ``js`` has for it: objects, arrays, ``jsnull``, Dates. Raises TypeError for what cannot be sent."""
    from workers import _rpc  # type: ignore[attr-defined,import-not-found,unused-ignore]

    return _rpc.sent(value)


def python_from_rpc(value: object) -> Any:
    """What Python has for it: dicts, lists, None, datetimes. What is received by a call is Python's already."""
    from workers import _rpc  # type: ignore[attr-defined,import-not-found,unused-ignore]

    return _rpc.received(value)


def import_from_javascript(name: str) -> Any:
    """What a module of JavaScript's exports: ``import_from_javascript("cloudflare:email").EmailMessage``."""
    if name == "cloudflare:workers":
        from workers import _modules  # type: ignore[attr-defined,import-not-found,unused-ignore]

        return _modules.CloudflareWorkers()
    if name == "cloudflare:sockets":
        from runtime.isolate.serving import tcp  # which few workers need

        return tcp
    if (found := ambient.find(name)) is None:
        raise ImportError(f"there is no JavaScript here, and no module {name!r} in Python")
    return found


def handler(function: H) -> H:
    """Marks a handler, as in ``@handler async def on_fetch(request, env, ctx)``. It changes nothing."""
    return function


def _current(variable: ContextVar[V], what: str) -> V:
    try:
        return variable.get()
    except LookupError:
        raise RuntimeError(
            f"workers.{what} can be used only while an event is served, not while the module is imported"
        ) from None


def __getattr__(name: str) -> object:
    if name in _TYPES:
        from workers import types  # type: ignore[attr-defined,import-not-found,unused-ignore]

        found: object = getattr(types, name)
        return found
    raise AttributeError(f"module 'workers' has no {name!r}; it has: {', '.join(__all__)}")
