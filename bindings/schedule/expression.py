"""A cron expression as Cloudflare reads it: five fields, in UTC. Facts: docs/reference/bindings.md#cron.

croniter walks through minutes, hours and months. Of days it is told nothing: weekdays are counted from 1, Sunday, here,
and ``L-3``, ``LW``, ``L-3W`` and ``FRIL`` depend on the month; so which days are meant is decided below.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec

_MONTHS = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6} | {
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}  # fmt: skip
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_HORIZON = timedelta(days=40 * 366)  # a fifth Monday in February comes every 28 years
_ITEM = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)
MAX_LENGTH = 256

DayRule = Callable[[date], bool]


class BadExpression(ValueError):
    """What is wrong with it."""


class Field(msgspec.Struct, frozen=True):
    name: str
    least: int
    most: int
    names: Mapping[str, int]

    def numbers(self, text: str) -> frozenset[int]:
        """Of ``*``, or a list of numbers, ranges and steps. Raises BadExpression."""
        if text == "*":
            return frozenset(range(self.least, self.most + 1))
        return frozenset(number for item in text.split(",") for number in self._item(item))

    def number(self, text: str) -> int:
        """Raises BadExpression."""
        value = self.names.get(text.upper(), int(text) if re.fullmatch(r"[0-9]{1,3}", text) else -1)
        if not self.least <= value <= self.most:
            named = f", {next(iter(self.names))} to {list(self.names)[-1]}" if self.names else ""
            raise BadExpression(f"{self.name}: {text} is not from {self.least} to {self.most}{named}{self._hint(text)}")
        return value

    def _item(self, text: str) -> list[int]:
        found = _ITEM.fullmatch(text)
        if found is None or (found[1] and not found[4]):
            raise BadExpression(f"{self.name}: {text or 'an empty item'!r} cannot be read")
        first = self.least if found[1] else self.number(found[2])
        last = self.number(found[3]) if found[3] else self.most if found[4] else first
        around = last if first <= last else last + self.most - self.least + 1  # FRI-MON goes over the end
        span = self.most - self.least + 1
        return [(at - self.least) % span + self.least for at in range(first, around + 1, self._step(found[4] or "1"))]

    def _step(self, text: str) -> int:
        step = int(text[:4])
        if not 1 <= step <= self.most - self.least:
            raise BadExpression(f"{self.name}: a step of {text} is not from 1 to {self.most - self.least}")
        return step

    def _hint(self, text: str) -> str:
        return " (1 is Sunday)" if self.name == "weekday" else ""


MINUTE, HOUR = Field("minute", 0, 59, {}), Field("hour", 0, 23, {})
DAY, MONTH = Field("day of the month", 1, 31, {}), Field("month", 1, 12, _MONTHS)
WEEKDAY = Field("weekday", 1, 7, _WEEKDAYS)


class Expression(msgspec.Struct, frozen=True):
    """``days`` and ``weekdays``: None is ``*``; where both are given, one of them is enough."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    days: DayRule | None
    weekdays: DayRule | None

    def matches(self, at: datetime) -> bool:
        """Whether it is due in that minute. ``at`` is in UTC."""
        if at.minute not in self.minutes or at.hour not in self.hours or at.month not in self.months:
            return False
        return self._on(at.date())

    def next_after(self, at: datetime) -> datetime | None:
        """None: not within forty years."""
        from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]  # hardly anybody's start

        minutes, hours, months = map(_listed, (self.minutes, self.hours, self.months))
        clock, until = croniter(f"{minutes} {hours} * {months} *", at, datetime), at + _HORIZON
        try:
            while True:
                found: datetime = clock.get_next(datetime)
                if found > until:
                    return None
                if self._on(found.date()):
                    return found
                clock.set_current(found.replace(hour=23, minute=59), force=True)
        except CroniterBadDateError:
            return None

    def _on(self, day: date) -> bool:
        rules = [rule for rule in (self.days, self.weekdays) if rule is not None]
        return not rules or any(rule(day) for rule in rules)


@lru_cache(1024)
def parse(text: str) -> Expression:
    """Raises BadExpression."""
    fields = text.split()
    if len(text) > MAX_LENGTH or len(fields) != 5:
        count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        raise BadExpression(f"{count}, not five: minute, hour, day of the month, month, weekday")
    minute, hour, day, month, weekday = fields
    return Expression(
        text, MINUTE.numbers(minute), HOUR.numbers(hour), MONTH.numbers(month), _days(day), _weekdays(weekday)
    )


def now() -> datetime:
    return datetime.now(UTC)


def _days(text: str) -> DayRule | None:
    if text == "*":
        return None
    if found := re.fullmatch(r"L(?:-(\d{1,2}))?(W)?", text):
        before = int(found[1] or 0)
        if found[1] and not 1 <= before <= 30:
            raise BadExpression(f"{DAY.name}: L-{before} is not from L-1 to L-30")
        return lambda day: _is(day, _last(day) - before, bool(found[2]))
    if text.endswith("W"):
        number = DAY.number(text[:-1])
        return lambda day: number <= _last(day) and _is(day, number, True)
    numbers = DAY.numbers(text)
    return lambda day: day.day in numbers


def _weekdays(text: str) -> DayRule | None:
    if text == "*":
        return None
    if text == "L":
        text = "SAT"
    if found := re.fullmatch(r"(\w+)L", text, re.ASCII):
        last = WEEKDAY.number(found[1])
        return lambda day: _weekday(day) == last and day.day + 7 > _last(day)
    if found := re.fullmatch(r"(\w+)#(\d+)", text, re.ASCII):
        wanted, nth = WEEKDAY.number(found[1]), Field("weekday, after #", 1, 5, {}).number(found[2])
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == nth
    numbers = WEEKDAY.numbers(text)
    return lambda day: _weekday(day) in numbers


def _is(day: date, number: int, working: bool) -> bool:
    """Whether it is that day of its month, or, if ``working``, the Monday to Friday of the month that is nearest."""
    if number < 1:
        return False
    return day.day == (_nearest(day, number) if working else number)


def _nearest(day: date, number: int) -> int:
    weekday = _weekday(day.replace(day=number))
    if weekday == 7:
        return number - 1 if number > 1 else 3
    if weekday == 1:
        return number + 1 if number < _last(day) else number - 2
    return number


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def _weekday(day: date) -> int:
    """1 is Sunday."""
    return day.isoweekday() % 7 + 1


def _last(day: date) -> int:
    return monthrange(day.year, day.month)[1]


__all__ = ["MAX_LENGTH", "BadExpression", "Expression", "now", "parse"]
