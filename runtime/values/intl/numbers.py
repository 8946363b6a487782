"""``Intl.NumberFormat``, ``PluralRules`` and ``RelativeTimeFormat`` of en-US."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar

from runtime.values.intl.options import Options
from runtime.values.objects import JsDict, Named

_SYMBOLS = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "CNY": "CN¥", "KRW": "₩", "BRL": "R$", "CAD": "CA$",
    "AUD": "A$", "MXN": "MX$", "NZD": "NZ$", "HKD": "HK$", "ILS": "₪", "VND": "₫", "TWD": "NT$", "PHP": "₱",
}  # fmt: skip
_DIGITS = dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "XAF", "XOF"), 0) | dict.fromkeys(
    ("KWD", "BHD", "OMR", "TND", "JOD"), 3
)
_NAMES = {"USD": "US dollar", "EUR": "euro", "GBP": "British pound", "CAD": "Canadian dollar"}
_SHORT, _LONG = ("", "K", "M", "B", "T"), ("", " thousand", " million", " billion", " trillion")
_SIGNS = ("auto", "always", "never", "exceptZero", "negative")


class NumberFormat(Named):
    """``NumberFormat.new("en-US", {style, currency, maximumFractionDigits, ...}).format(1234.5)``."""

    def __init__(self, locale: object = None, options: object = None, **more: object) -> None:
        given = Options("Intl.NumberFormat", locale, options, more)
        self._style = given.one_of("style", "decimal", "decimal", "percent", "currency")
        self._compact = given.one_of("notation", "standard", "standard", "compact") == "compact"
        self._scales = _LONG if given.one_of("compactDisplay", "short", "short", "long") == "long" else _SHORT
        self._currency = str(given.take("currency", "")).upper()
        self._shown = given.one_of("currencyDisplay", "symbol", "symbol", "narrowSymbol", "code", "name")
        self._accounting = given.one_of("currencySign", "standard", "standard", "accounting") == "accounting"
        self._sign = given.one_of("signDisplay", "auto", *_SIGNS)
        self._grouped = given.take("useGrouping", True) not in (False, "false")
        self._integers = given.number("minimumIntegerDigits", 1)
        self._significant = given.number("minimumSignificantDigits", 0), given.number("maximumSignificantDigits", 0)
        if self._style == "currency" and not self._currency:
            raise given.wrong("Currency code is required with currency style.", "TypeError")
        if self._style == "currency" and self._shown == "name" and self._currency not in _NAMES:
            raise given.wrong(f"knows no name of {self._currency}")
        usual = {"currency": (_DIGITS.get(self._currency, 2),) * 2, "percent": (0, 0), "decimal": (0, 3)}[self._style]
        self._fraction = given.fraction(*usual, compact=self._compact)
        given.end()

    def format(self, value: object) -> str:
        return "".join(part.value for part in self.formatToParts(value))

    def formatToParts(self, value: object) -> list[JsDict]:
        """Of ``{type, value}``: a sign, a symbol, the number as one part, what follows it."""
        number = Decimal(str(value))
        scale, negative = 0, number.is_signed()
        if number.is_finite():
            number = abs(number) * (100 if self._style == "percent" else 1)
            while self._compact and scale < len(_SHORT) - 1 and self._rounded(number) >= 1000:
                number, scale = number / 1000, scale + 1
            number = self._rounded(number)
        text = self._written(number)
        pairs = [*self._before(negative, not number), ("number", text), *self._after(scale, text, negative)]
        return [JsDict(type=kind, value=part) for kind, part in pairs if part]

    def _rounded(self, number: Decimal) -> Decimal:
        most = self._fraction[1]
        significant = self._significant[1] or (2 if self._compact and most < 0 else 0)
        if significant and number:
            most = significant - 1 - number.adjusted()
            most = max(most, 0) if not self._significant[1] else most
        elif most < 0:
            most = 0
        return number.quantize(Decimal(1).scaleb(-most), ROUND_HALF_UP)

    def _written(self, number: Decimal) -> str:
        if not number.is_finite():
            return "NaN" if number.is_nan() else "∞"
        whole, _, part = f"{number:f}".partition(".")
        least = max(self._fraction[0], 0)
        if (digits := self._significant[0]) and number:
            least = max(digits - 1 - number.adjusted(), 0)
        part = part.rstrip("0").ljust(least, "0")
        whole = whole.rjust(self._integers, "0")
        if self._grouped and (not self._compact or len(whole) > 4):
            whole = f"{int(whole):,}".rjust(self._integers, "0") if len(whole) > 3 and whole[0] != "0" else whole
        return f"{whole}.{part}" if part else whole

    def _before(self, negative: bool, zero: bool) -> list[tuple[str, str]]:
        plus = self._sign in ("always", "exceptZero") and not (zero and self._sign == "exceptZero")
        minus = negative and self._sign != "never" and not (zero and self._sign in ("exceptZero", "negative"))
        sign = ("minusSign", "-") if minus else ("plusSign", "+" if plus and not negative else "")
        if minus and self._accounting and self._style == "currency":
            sign = ("literal", "(")
        return [sign, ("currency", self._symbol())]

    def _symbol(self) -> str:
        if self._style != "currency" or self._shown == "name":
            return ""
        symbol = self._currency if self._shown == "code" else _SYMBOLS.get(self._currency, self._currency)
        if self._shown == "narrowSymbol":
            symbol = "".join(char for char in symbol if not char.isascii() or char == "$") or symbol
        return symbol + ("\xa0" if symbol[-1].isalpha() else "")

    def _after(self, scale: int, text: str, negative: bool) -> list[tuple[str, str]]:
        named = self._style == "currency" and self._shown == "name"
        name = f" {_NAMES[self._currency]}{'' if text == '1' else 's'}" if named else ""
        closes = negative and self._accounting and self._style == "currency" and self._sign != "never"
        return [
            ("compact", self._scales[scale]), ("percentSign", "%" if self._style == "percent" else ""),
            ("currency", name), ("literal", ")" if closes else ""),
        ]  # fmt: skip

    def resolvedOptions(self) -> JsDict:
        return JsDict(locale="en-US", numberingSystem="latn", style=self._style)


class PluralRules(Named):
    """``select(number)``: "one" or "other"; of ``{"type": "ordinal"}`` "two" and "few", too."""

    def __init__(self, locale: object = None, options: object = None, **more: object) -> None:
        given = Options("Intl.PluralRules", locale, options, more)
        self._ordinal = given.one_of("type", "cardinal", "cardinal", "ordinal") == "ordinal"
        given.end()

    def select(self, number: float) -> str:
        if not self._ordinal:
            return "one" if number == 1 else "other"
        found = {1: "one", 2: "two", 3: "few"}.get(int(number) % 10, "other")
        return "other" if int(number) % 100 in (11, 12, 13) else found


class RelativeTimeFormat(Named):
    """``format(-1, "day")``: "1 day ago", of ``{"numeric": "auto"}`` "yesterday"."""

    _UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
    _DAYS: ClassVar = {-1.0: "yesterday", 0.0: "today", 1.0: "tomorrow"}
    _WORDS: ClassVar = {-1.0: "last", 0.0: "this", 1.0: "next"}

    def __init__(self, locale: object = None, options: object = None, **more: object) -> None:
        self._given = Options("Intl.RelativeTimeFormat", locale, options, more)
        self._auto = self._given.one_of("numeric", "always", "always", "auto") == "auto"
        self._given.one_of("style", "long", "long")
        self._given.end()

    def format(self, value: float, unit: str) -> str:
        name = unit.removesuffix("s")
        if name not in self._UNITS:
            raise self._given.wrong(f"Invalid unit argument for format() '{unit}'")
        if self._auto and value in self._WORDS:
            if name == "second" and not value:
                return "now"
            if name == "day":
                return self._DAYS[value]
            if name in self._UNITS[4:] or not value:
                return f"{self._WORDS[value]} {name}"
        count = f"{NumberFormat().format(abs(value))} {name}{'' if abs(value) == 1 else 's'}"
        return f"{count} ago" if value < 0 or (value == 0 and str(value)[0] == "-") else f"in {count}"


__all__ = ["NumberFormat", "PluralRules", "RelativeTimeFormat"]
