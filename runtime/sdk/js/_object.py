"""``Object``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from runtime.isolate.env import Env
from runtime.values import JsArray, JsDict
from runtime.values.proxies import taken
from runtime.web.pairs import Pairs
from runtime.web.sockets import WebSocketPair

T = TypeVar("T", bound=MutableMapping[str, Any])
V = TypeVar("V")


class Object:
    """Plain objects, which are dicts whose keys are attributes too."""

    @staticmethod
    def new(value: object = None, **members: object) -> object:
        return JsDict(members) if value is None else value

    @staticmethod
    def create(prototype: object, properties: Mapping[str, Mapping[str, object]] | None = None) -> JsDict:
        """``prototype`` is left aside: objects here have none."""
        return JsDict({name: how.get("value") for name, how in (properties or {}).items()})

    @staticmethod
    def fromEntries(pairs: Iterable[Any]) -> JsDict:
        return JsDict({str(key): value for key, value in _pairs(pairs)})

    @staticmethod
    def entries(value: object) -> JsArray:
        return JsArray(JsArray(pair) for pair in _members(value).items())

    @staticmethod
    def keys(value: object) -> JsArray:
        return JsArray(_members(value))

    @staticmethod
    def values(value: object) -> list[Any]:
        if isinstance(value, WebSocketPair):
            return value.object_values()
        return JsArray(_members(value).values())

    @staticmethod
    def assign(target: T, *sources: Mapping[str, Any] | None) -> T:
        for source in sources:
            target.update(source or {})
        return target

    @staticmethod
    def freeze(value: V) -> V:
        """The value, which can be changed as before."""
        return value

    seal = preventExtensions = freeze

    @staticmethod
    def isFrozen(value: object) -> bool:
        return not isinstance(value, (dict, list)) and not hasattr(value, "__dict__")

    isSealed = isFrozen

    @staticmethod
    def isExtensible(value: object) -> bool:
        return not Object.isFrozen(value)

    getOwnPropertyNames = keys

    @staticmethod
    def hasOwn(value: object, name: str) -> bool:
        return name in _members(value)

    @staticmethod
    def defineProperty(target: T, name: str, how: Mapping[str, Any]) -> T:
        target[name] = how["value"]
        return target

    @staticmethod
    def defineProperties(target: T, properties: Mapping[str, Mapping[str, Any]]) -> T:
        for name, how in properties.items():
            Object.defineProperty(target, name, how)
        return target

    @staticmethod
    def getOwnPropertyDescriptor(value: object, name: str) -> JsDict | None:
        """None: it has none of that name."""
        members = _members(value)
        if name not in members:
            return None
        return JsDict(value=members[name], writable=True, enumerable=True, configurable=True)

    @staticmethod
    def groupBy(items: Iterable[V], name: Callable[[V, int], object]) -> JsDict:
        made = JsDict()
        count = taken(name)
        for index, item in enumerate(items):
            made.setdefault(str(name(*(item, index)[:count])), JsArray()).append(item)  # type: ignore[arg-type]
        return made

    is_ = locals()["is"] = staticmethod(lambda one, other: one is other or one == other)


def _pairs(pairs: Iterable[Any]) -> Iterable[Any]:
    return pairs.items() if isinstance(pairs, Mapping | Pairs) else pairs


def _members(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if isinstance(value, Env):
        return {name: value[name] for name in value}
    return {name: item for name, item in getattr(value, "__dict__", {}).items() if not name.startswith("_")}


__all__ = ["Object"]
