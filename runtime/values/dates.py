"""``Date`` of JavaScript. Local time is UTC, as in a Workers runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from runtime.values.objects import JsException, Named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _TIME = (dict.fromkeys(names, "numeric") for names in (("year", "month", "day"), ("hour", "minute", "second")))


class Date(Named):
    """A moment: ``Date.new()`` the present, ``Date.new(milliseconds)``, ``Date.new("2026-01-31T10:00:00Z")``, or
    ``Date.new(2026, 0, 31, 10)``, whose month counts from 0."""

    def __init__(self, *parts: object) -> None:
        self._time: float = Date.now() if not parts else _moment(*parts)  # type: ignore[arg-type]

    @classmethod
    def new(cls, *parts: object) -> Date:
        return cls(*parts)

    @staticmethod
    def now() -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    @staticmethod
    def parse(text: str) -> float:
        """Milliseconds since 1970; NaN for what is no date."""
        return _parsed(text)

    @staticmethod
    def UTC(year: int, month: int = 0, *rest: int) -> float:
        return _moment(year, month, *rest)

    def getTime(self) -> object:
        return self._time

    valueOf = getTime

    def toISOString(self) -> str:
        """Raises JsException (a RangeError) of what is no date."""
        if self._time != self._time:
            raise JsException("Invalid time value", "RangeError")
        moment = datetime.fromtimestamp(self._time // 1000, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(self._time % 1000):03d}Z"

    toJSON = toISOString

    def toUTCString(self) -> str:
        from email.utils import format_datetime

        return format_datetime(self._moment(), usegmt=True)

    toGMTString = toUTCString

    def toString(self) -> str:
        return f"{self._moment():%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"

    def toTimeString(self) -> str:
        return f"{self._moment():%H:%M:%S} GMT+0000 (Coordinated Universal Time)"

    def toDateString(self) -> str:
        return f"{self._moment():%a %b %d %Y}"

    def toLocaleDateString(self, locale: object = None, options: object = None, **more: object) -> str:
        return self._local(locale, options, more, _DAY)

    def toLocaleTimeString(self, locale: object = None, options: object = None, **more: object) -> str:
        return self._local(locale, options, more, _TIME)

    def toLocaleString(self, locale: object = None, options: object = None, **more: object) -> str:
        """As ``Intl.DateTimeFormat`` of these writes it. Raises JsException for what that has not."""
        return self._local(locale, options, more, {**_DAY, **_TIME})

    def _local(self, locale: object, options: object, more: dict[str, object], defaults: dict[str, str]) -> str:
        from runtime.values.intl.dates import DateTimeFormat  # which few workers need

        return DateTimeFormat(locale, options, defaults, **more).format(self)

    def getTimezoneOffset(self) -> int:
        return 0

    def getDay(self) -> int:
        """0: Sunday."""
        return self._moment().isoweekday() % 7

    def getFullYear(self) -> int:
        return self._moment().year

    def getMonth(self) -> int:
        """0: January."""
        return self._moment().month - 1

    def getDate(self) -> int:
        return self._moment().day

    def getHours(self) -> int:
        return self._moment().hour

    def getMinutes(self) -> int:
        return self._moment().minute

    def getSeconds(self) -> int:
        return self._moment().second

    def getMilliseconds(self) -> int:
        return int(self._time % 1000)

    getUTCDay, getUTCFullYear, getUTCMonth, getUTCDate = getDay, getFullYear, getMonth, getDate
    getUTCHours, getUTCMinutes, getUTCSeconds, getUTCMilliseconds = getHours, getMinutes, getSeconds, getMilliseconds

    def setTime(self, milliseconds: float) -> float:
        self._time = milliseconds
        return milliseconds

    def toDatetime(self) -> datetime:
        """In UTC."""
        return self._moment()

    def _set(self, first: int, values: tuple[int, ...]) -> float:
        now = self._moment()
        parts = [now.year, now.month - 1, now.day, now.hour, now.minute, now.second, self.getMilliseconds()]
        parts[first : first + len(values)] = map(int, values)
        return self.setTime(_of_parts(*parts))

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._time / 1000, UTC)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and self._time == other._time

    def __lt__(self, other: Date) -> bool:
        return self._time < other._time

    def __sub__(self, other: Date) -> float:
        return self._time - other._time

    def __hash__(self) -> int:
        return hash(self._time)

    def __repr__(self) -> str:
        return self.toString() if self._time == self._time else "Invalid Date"

    __str__ = __repr__


def _setter(first: int) -> Callable[..., float]:
    return lambda self, *values: self._set(first, values)


for _first, _name in enumerate(("FullYear", "Month", "Date", "Hours", "Minutes", "Seconds", "Milliseconds")):
    setattr(Date, f"set{_name}", _setter(_first))
    setattr(Date, f"setUTC{_name}", _setter(_first))


class Moment(datetime):
    """A ``datetime`` with the names of a Date's, where it is one or the other by how it was asked for."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(Date(self), name)

    def __repr__(self) -> str:
        return f"datetime.{super().__repr__()}".replace(type(self).__name__, "datetime", 1)


def _moment(first: object, *rest: int) -> float:
    if rest:
        return _of_parts(int(first), *map(int, rest))  # type: ignore[call-overload]
    if isinstance(first, Date):
        return first._time
    if isinstance(first, datetime):
        return round(first.timestamp() * 1000)
    return _parsed(first) if isinstance(first, str) else int(first)  # type: ignore[call-overload]


def _of_parts(
    year: int, month: int = 0, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0, milliseconds: int = 0
) -> int:
    """A part beyond its range goes over into the next."""
    start = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    seconds = ((day - 1) * 24 + hour) * 3600 + minute * 60 + second
    return (round((start - _EPOCH).total_seconds()) + seconds) * 1000 + milliseconds


def _parsed(text: str) -> float:
    from email.utils import parsedate_to_datetime

    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except (TypeError, ValueError):
            continue
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    return float("nan")


__all__ = ["Date", "Moment"]
