"""``Symbol``: keys that are no texts. Of those that the language knows, two stand for methods of Python's."""

from __future__ import annotations

from runtime.values import JsException

_registered: dict[str, Symbol] = {}


class Symbol:
    """``Symbol("description")``, ``Symbol.iterator``; ``getattr(Symbol, "for")(key)`` or ``for_``."""

    __slots__ = ("description", "method")
    typeof = "symbol"

    iterator: Symbol
    asyncIterator: Symbol
    toStringTag: Symbol
    toPrimitive: Symbol
    hasInstance: Symbol
    dispose: Symbol
    asyncDispose: Symbol

    def __init__(self, description: object = None, method: str = "") -> None:
        self.description = None if description is None else str(description)
        self.method = method  # of Python's, which ``Reflect.get`` finds under it

    @staticmethod
    def new(*_: object) -> None:
        """Raises JsException, as there."""
        raise JsException("Symbol is not a constructor", "TypeError")

    @staticmethod
    def for_(key: object) -> Symbol:
        """The same for the same key."""
        return _registered.setdefault(str(key), Symbol(key))

    locals()["for"] = for_

    @staticmethod
    def keyFor(symbol: Symbol) -> str | None:
        """None: ``for`` has not made it."""
        return next((key for key, known in _registered.items() if known is symbol), None)

    def toString(self) -> str:
        return f"Symbol({self.description or ''})"

    __str__ = __repr__ = toString


_METHODS = {"iterator": "__iter__", "asyncIterator": "__aiter__", "dispose": "__exit__", "asyncDispose": "__aexit__"}
for _name in (*_METHODS, "toStringTag", "toPrimitive", "hasInstance"):
    setattr(Symbol, _name, Symbol(f"Symbol.{_name}", _METHODS.get(_name, "")))

__all__ = ["Symbol"]
