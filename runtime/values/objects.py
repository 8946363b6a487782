"""The types of JavaScript that a worker meets as Python objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.values.proxies import Default

SAFE_INTEGER = 2**53 - 1  # from here on, in magnitude, an int goes over as a BigInt


class _Method:
    """A method of dict's, or the list or object that is called like it, such as the ``keys`` of what KV lists: called
    all the same, that is the method."""

    def __init__(self, method: Callable[[dict[Any, Any]], object]) -> None:
        self._method, self._name = method, method.__name__

    def __get__(self, owner: dict[Any, Any] | None, kind: type) -> object:
        if owner is None:
            return self._method
        method = partial(self._method, owner)
        if self._name not in owner or not isinstance(own := owner[self._name], (dict, list)):
            return method
        if not callable(own):
            from runtime.values.called import called  # which few objects need
            from runtime.values.proxies import JsArray

            owner[self._name] = own = called(JsArray(own) if isinstance(own, list) else JsDict(own), method)
        return own


class JsDict(dict[str, Any]):
    """A plain object: a dict whose keys are attributes too.

    A key that is called like a method of dict is had as an item alone; ``keys``, ``values`` and ``items`` that are
    lists or objects are had both ways.
    """

    if not TYPE_CHECKING:
        keys, values, items = map(_Method, (dict.keys, dict.values, dict.items))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            pass
        from runtime.values.proxies import attribute  # of JavaScript's, and Pyodide's: few ask for them

        return attribute(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_py(self, *, depth: int = -1, default_converter: Default = None) -> dict[str, Any]:
        """Plain dicts and lists, ``depth`` levels deep; -1: all the way down, as Pyodide's proxies give them."""
        from runtime.values.proxies import to_py

        plain: dict[str, Any] = to_py(self, depth, default_converter)
        return plain


class Named:
    """What says which class of JavaScript's it is of: ``value.constructor.name``."""

    __slots__ = ()
    typeof = "object"

    @property
    def constructor(self) -> SimpleNamespace:
        return SimpleNamespace(name=type(self).__name__)


class JsNull:
    """The type of ``jsnull``, JavaScript's null, where it is told from undefined, which is None."""

    _only: JsNull | None = None

    def __new__(cls) -> JsNull:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    typeof = "object"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "jsnull"


jsnull = JsNull()


def _kept(name: str) -> Callable[..., object]:
    plain = getattr(int, name)

    def operation(self: JsBigInt, *others: int) -> object:
        made = plain(self, *others)
        return JsBigInt(made) if type(made) is int else made

    return operation


_UNARY = ("abs", "invert", "neg", "pos")
_BINARY = ("add", "and", "floordiv", "lshift", "mod", "mul", "or", "pow", "rshift", "sub", "xor")


class JsBigInt(int):
    """An int that was a BigInt, and goes back as one whatever its size, as does what is computed from it."""

    locals().update((f"__{name}__", _kept(f"__{name}__")) for name in (*_UNARY, *_BINARY))


class _Made(type):
    def __call__(cls, *args: object, **options: object) -> object:
        if cls is not JsError:
            return super().__call__(*args, **options)
        return _thrown(*args, **options)  # type: ignore[arg-type]


class JsError(Exception, metaclass=_Made):
    """What ``pyodide.ffi`` calls JsException: made of ``(name, message, stack)``, it is a JsException of ours."""

    name: str
    message: str
    stack: str


def _thrown(name: str, message: str = "", stack: str = "") -> JsException:
    return JsException(message, name, stack)


class JsException(JsError):
    """An error of JavaScript's: ``str(error)`` is ``name: message``. Its other ``fields`` are attributes."""

    def __init__(self, message: str = "", name: str = "Error", stack: str = "", **fields: object) -> None:
        self.message, self.name = message, name
        self.stack = stack or str(self)
        super().__init__(message)
        self.__dict__.update({key: value for key, value in fields.items() if key not in _OWN})

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    toString = __str__

    @property
    def constructor(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.name)


_OWN = frozenset((*dir(Exception), "message", "name", "stack"))  # what no field may replace


__all__ = ["SAFE_INTEGER", "JsBigInt", "JsDict", "JsError", "JsException", "JsNull", "Named", "jsnull"]
