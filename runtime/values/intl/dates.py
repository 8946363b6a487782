"""``Intl.DateTimeFormat`` of en-US, which a Date's ``toLocaleString`` and its like are, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from math import isfinite
from time import time
from typing import ClassVar

from runtime.values.intl.options import Options
from runtime.values.objects import JsDict, Named

_DATE, _TIME = ("weekday", "year", "month", "day"), ("hour", "minute", "second", "fractionalSecondDigits")
_WIDTHS = {
    "weekday": ("long", "short", "narrow"), "year": ("numeric", "2-digit"), "day": ("numeric", "2-digit"),
    "month": ("numeric", "2-digit", "long", "short", "narrow"), "hour": ("numeric", "2-digit"),
    "minute": ("numeric", "2-digit"), "second": ("numeric", "2-digit"), "timeZoneName": ("short", "long"),
}  # fmt: skip
_DATE_STYLES = {
    "full": {"weekday": "long", "month": "long", "day": "numeric", "year": "numeric"},
    "long": {"month": "long", "day": "numeric", "year": "numeric"},
    "medium": {"month": "short", "day": "numeric", "year": "numeric"},
    "short": {"month": "numeric", "day": "numeric", "year": "2-digit"},
}
_SECONDS = {"hour": "numeric", "minute": "2-digit", "second": "2-digit"}
_TIME_STYLES = {
    "full": {**_SECONDS, "timeZoneName": "long"}, "long": {**_SECONDS, "timeZoneName": "short"}, "medium": _SECONDS,
    "short": {"hour": "numeric", "minute": "2-digit"},
}  # fmt: skip
_AMERICAN = {"E": "Eastern", "C": "Central", "M": "Mountain", "P": "Pacific"}
Parts = list[tuple[str, str]]


class DateTimeFormat(Named):
    """``DateTimeFormat.new("en-US", {dateStyle, timeStyle, timeZone, year, month, ...}).format(date)``."""

    _DEFAULTS: ClassVar[dict[str, str]] = {"year": "numeric", "month": "numeric", "day": "numeric"}

    def __init__(
        self, locale: object = None, options: object = None, defaults: dict[str, str] | None = None, **more: object
    ) -> None:
        given = self._given = Options("Intl.DateTimeFormat", locale, options, more)
        self._zone_name = str(given.take("timeZone", "UTC"))
        self._zone = _zone(self._zone_name, given)
        half = given.take("hour12"), given.one_of("hourCycle", None, "h12", "h23")
        self._half = half[0] is True or (half[0] is None and half[1] != "h23")
        styles = [given.one_of(name, None, *_DATE_STYLES) for name in ("dateStyle", "timeStyle")]
        self._asked = self._components(given)
        if any(styles):
            if self._asked:
                raise given.wrong(f"Can't set option {next(iter(self._asked))} when dateStyle is used", "TypeError")
            self._asked = {**_DATE_STYLES.get(styles[0], {}), **_TIME_STYLES.get(styles[1], {})}
        elif not self._asked.keys() - {"timeZoneName"}:
            self._asked |= self._DEFAULTS if defaults is None else defaults
        self._at = styles[0] in ("full", "long") or (not styles[0] and self._asked.get("month") == "long")
        given.end()

    def _components(self, given: Options) -> dict[str, str]:
        found = {name: given.one_of(name, None, *widths) for name, widths in _WIDTHS.items()}
        if digits := given.take("fractionalSecondDigits"):
            found["fractionalSecondDigits"] = str(digits)
        return {name: width for name, width in found.items() if width}

    def format(self, date: object = None) -> str:
        return "".join(text for _, text in self._parts(date))

    def formatToParts(self, date: object = None) -> list[JsDict]:
        return [JsDict(type=kind, value=text) for kind, text in self._parts(date)]

    def resolvedOptions(self) -> JsDict:
        return JsDict(locale="en-US", calendar="gregory", numberingSystem="latn", timeZone=self._zone_name)

    def _parts(self, date: object) -> Parts:
        milliseconds = _milliseconds(date)
        if not isfinite(milliseconds):
            raise self._given.wrong("Invalid time value")
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(self._zone)
        day, time = self._day(moment), self._time(moment)
        joined = [("literal", " at " if self._at else ", ")] if day and time else []
        return [*day, *joined, *time]

    def _day(self, moment: datetime) -> Parts:
        month = self._asked.get("month", "")
        texts = {name: _date_text(name, self._asked[name], moment) for name in _DATE if name in self._asked}
        worded = month in ("long", "short", "narrow")
        order = ("weekday", "month", "day", "year")
        parts: Parts = []
        before = ""
        for name in (name for name in order if name in texts):
            if before:
                plain = {"weekday": ", ", "month": " ", "day": ", "}[before] if worded else "/"
                parts.append(("literal", ", " if before == "weekday" else plain))
            parts.append((name, texts[name]))
            before = name
        return parts

    def _time(self, moment: datetime) -> Parts:
        asked, parts = self._asked, Parts()
        alone = len([name for name in _TIME[:3] if name in asked]) == 1
        for name in (name for name in _TIME if name in asked):
            if parts:
                parts.append(("literal", "." if name == "fractionalSecondDigits" else ":"))
            parts.append((name, self._time_text(name, moment, alone=alone)))
        if self._half and "hour" in asked:
            parts += [("literal", " "), ("dayPeriod", "AM" if moment.hour < 12 else "PM")]
        if "timeZoneName" in asked:
            name = _named(moment, self._zone_name, asked["timeZoneName"], self._given)
            parts += [*([("literal", " ")] if parts else []), ("timeZoneName", name)]
        return parts

    def _time_text(self, name: str, moment: datetime, *, alone: bool) -> str:
        if name == "fractionalSecondDigits":
            return f"{moment.microsecond // 1000:03}"[: int(self._asked[name])]
        value: int = getattr(moment, name)
        if name == "hour":
            value = (value % 12 or 12) if self._half else value
            return str(value) if self._half and self._asked[name] == "numeric" else f"{value:02}"
        return str(value) if alone else f"{value:02}"


def _milliseconds(date: object) -> float:
    if date is None:
        return time() * 1000
    if isinstance(date, datetime):
        return date.timestamp() * 1000
    get_time: Callable[[], float] | None = getattr(date, "getTime", None)
    return float(date) if get_time is None else get_time()  # type: ignore[arg-type]


def _date_text(name: str, width: str, moment: datetime) -> str:
    if width in ("long", "short", "narrow"):
        text = f"{moment:%A}" if name == "weekday" else f"{moment:%B}"
        return text if width == "long" else text[: 3 if width == "short" else 1]
    value: int = getattr(moment, name)
    return f"{value % 100:02}" if width == "2-digit" else str(value)


def _named(moment: datetime, zone: str, width: str, given: Options) -> str:
    short, offset = moment.tzname() or "", moment.utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds() // 60)
    if zone in ("UTC", "Etc/UTC"):
        return "UTC" if width == "short" else "Coordinated Universal Time"
    american = zone.startswith(("America/", "US/")) and short[:1] in _AMERICAN and short[1:] in ("ST", "DT")
    if american:
        kind = "Standard" if short[1] == "S" else "Daylight"
        return short if width == "short" else f"{_AMERICAN[short[0]]} {kind} Time"
    if width == "long":
        raise given.wrong(f"knows no long name of {zone}")
    hours, rest = divmod(abs(minutes), 60)
    return f"GMT{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}" if minutes else "GMT"


def _zone(name: str, given: Options) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise given.wrong(f"Invalid time zone specified: {name}") from None


__all__ = ["DateTimeFormat"]
