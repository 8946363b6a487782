"""Modules of JavaScript's that a Workers runtime has, for ``import_from_javascript``.

What is had through ``cloudflare:workers`` is not wrapped there as ``workers`` wraps it: what a binding answers are
proxies, with ``to_py()``. ``_Raw`` gives them that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

import workers  # type: ignore[import-not-found,unused-ignore]
from runtime.values import JsArray, JsBuffer, JsDict

_WRAPPED = ("bindings.", "runtime.isolate.")  # whose objects are bindings, and what bindings make


class _Raw:
    """A binding, or ``env`` itself, whose answers are proxies."""

    __slots__ = ("_target",)

    def __init__(self, target: Any) -> None:
        object.__setattr__(self, "_target", target)

    def __getattr__(self, name: str) -> Any:
        return _proxied(getattr(self._target, name))

    def __getitem__(self, name: Any) -> Any:
        return _proxied(self._target[name])

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _proxied(self._target(*map(_bare, args), **options))

    def __iter__(self) -> Any:
        return iter(self._target)

    def __repr__(self) -> str:
        return repr(self._target)


class CloudflareWorkers:
    """``cloudflare:workers``: what ``workers`` has, but for ``env``."""

    @property
    def env(self) -> _Raw:
        return _Raw(workers.env)  # type: ignore[attr-defined,unused-ignore]

    def __getattr__(self, name: str) -> object:
        return getattr(workers, name)


def _proxied(value: object) -> object:
    if isinstance(value, dict):
        return JsDict({key: _proxied(item) for key, item in value.items()})
    if isinstance(value, list):
        return JsArray([_proxied(item) for item in value])
    if isinstance(value, (bytes, memoryview)):
        return JsBuffer(value)
    if isawaitable(value):
        return _awaited(value)
    if isinstance(value, Callable) or type(value).__module__.startswith(_WRAPPED):  # type: ignore[arg-type]
        return _Raw(value)
    return value


async def _awaited(value: Awaitable[Any]) -> object:
    return _proxied(await value)


def _bare(value: object) -> object:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value._target if isinstance(value, _Raw) else value


__all__ = ["CloudflareWorkers"]
