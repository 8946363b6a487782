"""``RegExp``, ``Symbol`` and ``Intl`` of ``js``, in a worker. What is expected is what V8 says."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import ROUTER, serving, write

ENTRY = (
    r"""
import js
from js import Array, Date, Intl, Reflect, RegExp, Symbol
from workers import Response

def said(make):
    try:
        return str(make())
    except Exception as error:
        return str(error)

def patterns():
    dated = RegExp.new("(?<year>\\d{4})-(?<month>\\d\\d)", "g")
    text = "on 2020-05 and 2021-06"
    first, second = dated.exec(text), dated.exec(text)
    found = [first[0], first.index, first.groups.year, second.groups.month, dated.lastIndex]
    tried = [("^a.c$", "i", "ABC"), ("a$", "", "a\n"), ("^b$", "m", "a\nb\n"), ("[^]", "", "\n"), ("a.b", "", "a\rb"),
             ("a.b", "s", "a\nb"), ("(?<x>a)\\k<x>", "", "aa"), ("\\u0041\\u{42}", "u", "AB"), ("a", "y", "ba"),
             ("\\s", "", "\u00a0"), ("[[a]+", "", "["), ("^[\\w.-]+@[\\w-]+\\.[a-z]{2,}$", "", "a.b@c.de"),
             ("\\d", "", "\u0663"), ("[\\d\\s-]", "", "-")]
    return Response.json([
        found, dated.exec(text), str(dated), dated.flags, dated.constructor.name,
        [RegExp.new(pattern, flags).test(text) for pattern, flags, text in tried],
        [said(lambda: RegExp.new(*given))[:60] for given in (("(",), ("a", "z"), ("\\p{L}", "u"))],
    ])

def symbols():
    one = Symbol("a")
    return Response.json([
        str(one), one.description, one == Symbol("a"), Symbol.for_("k") is getattr(Symbol, "for")("k"),
        Symbol.keyFor(Symbol.for_("k")), str(Symbol.iterator), said(Symbol.new),
        list(Reflect.get(Array.of(1, 2), Symbol.iterator)()), Reflect.has({}, Symbol.asyncIterator),
    ])

def numbers():
    write = lambda value, **options: Intl.NumberFormat.new("en-US", **options).format(value)
    money = lambda value, currency, **options: write(value, style="currency", currency=currency, **options)
    return Response.json([
        write(1234567.891), write(0.256, style="percent"), money(1234.5, "USD"), money(-5, "EUR"), money(5000, "JPY"),
        money(5, "CHF"), write(1234, notation="compact"), write(999999, notation="compact"), write(-0.0),
        write(1.005, maximumFractionDigits=2), money(-1, "USD", currencySign="accounting"), write(float("nan")),
        money(2, "USD", currencyDisplay="name"), write(123456, maximumSignificantDigits=3),
        write(5, signDisplay="always"),
        write(1500, notation="compact", compactDisplay="long"), write(1234, useGrouping=False), write(float("inf")),
        write(12.3, minimumSignificantDigits=5), write(5, minimumIntegerDigits=2),
    ])

def dates():
    at = Date.new(Date.UTC(2020, 0, 2, 15, 4, 5, 678))
    write = lambda **options: Intl.DateTimeFormat.new("en-US", **options).format(at)
    return Response.json([
        write(), write(dateStyle="full"), write(dateStyle="long", timeStyle="long"), write(timeStyle="full"),
        write(dateStyle="medium", timeStyle="short"), write(weekday="short", month="numeric", day="numeric"),
        write(year="numeric", month="2-digit", day="2-digit"), write(month="long", year="numeric"),
        write(hour="numeric"),
        write(hour="2-digit", minute="2-digit", hour12=False), write(timeZone="America/New_York", timeStyle="long"),
        write(timeZone="Asia/Kolkata", hour="numeric", minute="numeric", timeZoneName="short"),
        write(second="numeric", fractionalSecondDigits=3), at.toLocaleDateString("en-US", {"month": "long"}),
        at.toLocaleTimeString(), at.toLocaleString("en-US", {"dateStyle": "short", "timeStyle": "short"}),
        [part.type for part in Intl.DateTimeFormat("en-US").formatToParts(at)],
        Intl.DateTimeFormat.new().resolvedOptions().timeZone,
    ])

def others():
    ago = Intl.RelativeTimeFormat.new("en", numeric="auto")
    rules = Intl.PluralRules.new("en-US", {"type": "ordinal"})
    return Response.json([
        [ago.format(-1, "day"), ago.format(1, "week"), ago.format(3, "days"), ago.format(0, "second")],
        [rules.select(number) for number in (1, 2, 3, 4, 11, 22)],
        Intl.ListFormat.new("en").format(["a", "b", "c"]),
        [said(lambda: Intl.NumberFormat.new("de-DE")), said(lambda: Intl.Collator)[:27],
         said(lambda: Intl.NumberFormat.new("en", style="unit")),
         said(lambda: Intl.DateTimeFormat.new("en", era="long"))],
    ])
"""
    + ROUTER
)
SAID = {
    "/patterns": [
        ["2020-05", 3, "2020", "06", 22], None, r"/(?<year>\d{4})-(?<month>\d\d)/g", "g", "RegExp",
        [True, False, True, True, False, True, True, True, False, True, True, True, False, True],
        [
            "SyntaxError: Invalid regular expression: /(/: missing ), unt",
            "SyntaxError: Invalid flags supplied to RegExp constructor 'z",
            "SyntaxError: Invalid regular expression: /\\p{L}/u: \\p{...} i",
        ],
    ],
    "/symbols": [
        "Symbol(a)", "a", False, True, "k", "Symbol(Symbol.iterator)", "TypeError: Symbol is not a constructor", [1, 2],
        False,
    ],
    "/numbers": [
        "1,234,567.891", "26%", "$1,234.50", "-€5.00", "¥5,000", "CHF\xa05.00", "1.2K", "1M", "-0", "1.01", "($1.00)",
        "NaN", "2.00 US dollars", "123,000", "+5", "1.5 thousand", "1234", "∞", "12.300", "05",
    ],
    "/dates": [
        "1/2/2020", "Thursday, January 2, 2020", "January 2, 2020 at 3:04:05 PM UTC",
        "3:04:05 PM Coordinated Universal Time", "Jan 2, 2020, 3:04 PM", "Thu, 1/2", "01/02/2020", "January 2020",
        "3 PM",
        "15:04", "10:04:05 AM EST", "8:34 PM GMT+5:30", "5.678", "January", "3:04:05 PM", "1/2/20, 3:04 PM",
        ["month", "literal", "day", "literal", "year"], "UTC",
    ],
    "/others": [
        ["yesterday", "next week", "in 3 days", "now"], ["one", "two", "few", "other", "other", "two"], "a, b, and c",
        [
            "RangeError: Intl.NumberFormat: knows en-US alone, not de-DE", "js.Intl.Collator is not her",
            "RangeError: Intl.NumberFormat: style is decimal or percent or currency here, not unit",
            "RangeError: Intl.DateTimeFormat: era is not here",
        ],
    ],
}  # fmt: skip


@pytest.mark.asyncio
async def test_the_language(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        for path, said in SAID.items():
            assert await pilot.told(path) == said
