"""``Intl``, of en-US."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runtime.values import JsArray, Named
from runtime.values.intl import dates, numbers
from runtime.values.intl.options import Options


class _New:
    @classmethod
    def new(cls, *args: object, **options: object) -> object:
        return cls(*args, **options)

    @staticmethod
    def supportedLocalesOf(locales: str | Iterable[str], options: object = None) -> JsArray:
        asked = [locales] if isinstance(locales, str) else locales
        return JsArray(one for one in asked if one.lower() in ("en", "en-us"))


class ListFormat(Named):
    """``format(["a", "b"])``: "a and b"; ``type`` "disjunction" for "or", "unit" for neither."""

    def __init__(self, locale: object = None, options: dict[str, object] | None = None, **more: object) -> None:
        given = Options("Intl.ListFormat", locale, options, more)
        kind = given.one_of("type", "conjunction", "conjunction", "disjunction")
        given.one_of("style", "long", "long")
        given.end()
        self._word = "and" if kind == "conjunction" else "or"

    def format(self, items: Iterable[str]) -> str:
        *first, last = list(items) or [""]
        comma = "," if len(first) > 1 else ""
        return f"{', '.join(first)}{comma} {self._word} {last}" if first else last


class _Intl:
    """What is not here raises AttributeError with its name."""

    DateTimeFormat = type("DateTimeFormat", (dates.DateTimeFormat, _New), {"__module__": "js"})
    ListFormat = type("ListFormat", (ListFormat, _New), {"__module__": "js"})
    NumberFormat = type("NumberFormat", (numbers.NumberFormat, _New), {"__module__": "js"})
    PluralRules = type("PluralRules", (numbers.PluralRules, _New), {"__module__": "js"})
    RelativeTimeFormat = type("RelativeTimeFormat", (numbers.RelativeTimeFormat, _New), {"__module__": "js"})

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join(name for name in vars(_Intl) if name[0] != "_")
        raise AttributeError(f"js.Intl.{name} is not here; Intl has, of en-US alone: {known}")


Intl = _Intl()

__all__ = ["Intl"]
