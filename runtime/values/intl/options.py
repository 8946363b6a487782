"""Options of a formatter: a locale, which is en-US, and an object whose unknown members are refused."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.values.objects import JsException

_LOCALES = ("en-us", "en", "und")


class Options:
    """``what`` is the formatter's name. Whatever is asked of it that is not here is a JsException naming it."""

    def __init__(self, what: str, locale: object, options: object, more: Mapping[str, object]) -> None:
        self._what = what
        self._left = {
            name: value
            for name, value in {**(options if isinstance(options, Mapping) else {}), **more}.items()
            if value is not None
        }
        first = locale[0] if isinstance(locale, list | tuple) and locale else locale
        if first and str(first).lower() not in _LOCALES:
            raise self.wrong(f"knows en-US alone, not {first}")

    def wrong(self, text: str, name: str = "RangeError") -> JsException:
        return JsException(f"{self._what}: {text}", name)

    def take(self, name: str, default: object = None) -> object:
        return self._left.pop(name, default)

    def one_of(self, name: str, default: str | None, *known: str) -> str:
        """Raises JsException for another."""
        value = self.take(name, default)
        if value is not None and value not in known:
            raise self.wrong(f"{name} is {' or '.join(known)} here, not {value}")
        return str(value) if value is not None else ""

    def number(self, name: str, default: int) -> int:
        value = self.take(name, default)
        if not isinstance(value, int | float) or not 0 <= value <= 100:
            raise self.wrong(f"{name} value is out of range.")
        return int(value)

    def fraction(self, least: int, most: int, *, compact: bool) -> tuple[int, int]:
        """How many digits follow the point; -1: as compact numbers have it."""
        if compact and not self._left.keys() & {"minimumFractionDigits", "maximumFractionDigits"}:
            return 0, -1
        asked = "minimumFractionDigits" in self._left, "maximumFractionDigits" in self._left
        low, high = self.number("minimumFractionDigits", least), self.number("maximumFractionDigits", most)
        if low > high and all(asked):
            raise self.wrong("maximumFractionDigits value is out of range.")
        return (low, max(low, high)) if asked[0] else (min(low, high), high)

    def end(self) -> None:
        """Raises JsException for what nobody has taken."""
        self._left.pop("localeMatcher", None)
        if self._left:
            raise self.wrong(f"{', '.join(self._left)} is not here")


__all__ = ["Options"]
