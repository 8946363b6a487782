"""Cloudflare's dialect of cron: what is due when, and what is refused in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from croniter import croniter

from bindings.schedule.expression import BadExpression, parse

pytestmark = pytest.mark.unit
BEGIN = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # a Friday


def due(text: str, count: int = 3, begin: datetime = BEGIN) -> list[str]:
    def each() -> object:
        at = begin
        while (found := parse(text).next_after(at)) is not None:
            assert parse(text).matches(found)
            yield found.strftime("%a %Y-%m-%d %H:%M")
            at = found

    return list(islice(each(), count))  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "*/20 * * * *": ["Fri 2026-11-27 12:20", "Fri 2026-11-27 12:40", "Fri 2026-11-27 13:00"],
        "5/30 * * * *": ["Fri 2026-11-27 12:05", "Fri 2026-11-27 12:35", "Fri 2026-11-27 13:05"],
        "58-1 * * * *": ["Fri 2026-11-27 12:01", "Fri 2026-11-27 12:58", "Fri 2026-11-27 12:59"],
        "0 9 * * 1": ["Sun 2026-11-29 09:00", "Sun 2026-12-06 09:00", "Sun 2026-12-13 09:00"],
        "0 9 * * 7": ["Sat 2026-11-28 09:00", "Sat 2026-12-05 09:00", "Sat 2026-12-12 09:00"],
        "0 9 * * 2-6": ["Mon 2026-11-30 09:00", "Tue 2026-12-01 09:00", "Wed 2026-12-02 09:00"],
        "0 9 * * fri-mon": ["Sat 2026-11-28 09:00", "Sun 2026-11-29 09:00", "Mon 2026-11-30 09:00"],
        "0 9 * * L": ["Sat 2026-11-28 09:00", "Sat 2026-12-05 09:00", "Sat 2026-12-12 09:00"],
        "0 9 * * 6L": ["Fri 2026-12-25 09:00", "Fri 2027-01-29 09:00", "Fri 2027-02-26 09:00"],
        "0 9 * * MON#1": ["Mon 2026-12-07 09:00", "Mon 2027-01-04 09:00", "Mon 2027-02-01 09:00"],
        "0 9 * * 3#5": ["Tue 2026-12-29 09:00", "Tue 2027-03-30 09:00", "Tue 2027-06-29 09:00"],
        "0 9 L * *": ["Mon 2026-11-30 09:00", "Thu 2026-12-31 09:00", "Sun 2027-01-31 09:00"],
        "0 9 L-3 2 *": ["Thu 2027-02-25 09:00", "Sat 2028-02-26 09:00", "Sun 2029-02-25 09:00"],
        "0 9 LW * *": ["Mon 2026-11-30 09:00", "Thu 2026-12-31 09:00", "Fri 2027-01-29 09:00"],
        "0 9 L-1W JAN *": ["Fri 2027-01-29 09:00", "Mon 2028-01-31 09:00", "Tue 2029-01-30 09:00"],
        "0 9 1W 8,5 *": ["Mon 2027-05-03 09:00", "Mon 2027-08-02 09:00", "Mon 2028-05-01 09:00"],
        "0 9 31W * *": ["Thu 2026-12-31 09:00", "Fri 2027-01-29 09:00", "Wed 2027-03-31 09:00"],
        "0 9 13 * FRI": ["Fri 2026-12-04 09:00", "Fri 2026-12-11 09:00", "Sun 2026-12-13 09:00"],
        "0 3 L * FRI": ["Mon 2026-11-30 03:00", "Fri 2026-12-04 03:00", "Fri 2026-12-11 03:00"],
        "0 0 29 2 *": ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00", "Fri 2036-02-29 00:00"],
        "0 0 * 2 2#5": ["Mon 2044-02-29 00:00", "Mon 2072-02-29 00:00", "Mon 2112-02-29 00:00"],
        "0 0 31 11 *": [],
        "0 0 * JAN-FEB/1 *": ["Fri 2027-01-01 00:00", "Sat 2027-01-02 00:00", "Sun 2027-01-03 00:00"],
    }.items(),
)
def test_when_it_is_due(text: str, expected: list[str]) -> None:
    assert due(text) == expected


@pytest.mark.parametrize(
    "text", ["*/7 3-5 * * *", "1,2,50-55/2 */6 1-10 * *", "0 0 */9 4-6 *", "9 9 * 12 *", "* 23 5 1 *"]
)
def test_what_every_cron_knows_is_the_same_as_everywhere(text: str) -> None:
    """A library of another hand says the same, minute by minute."""
    others, at = croniter(text, BEGIN, datetime), BEGIN
    for _ in range(200):
        at = parse(text).next_after(at) or BEGIN
        assert at == others.get_next()


def test_each_minute_is_judged_as_the_next_one_is_found() -> None:
    expression = parse("*/15 8-10 1W * 2")
    minutes = [BEGIN + timedelta(minutes=at) for at in range(60 * 24 * 40)]
    assert [at for at in minutes[1:] if expression.matches(at)] == list(_until(minutes[-1], "*/15 8-10 1W * 2"))


def _until(end: datetime, text: str) -> list[datetime]:
    found, at = list[datetime](), BEGIN
    while (at := parse(text).next_after(at) or end) < end:
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("text", "what"),
    {
        "* * * *": "4 fields, not five",
        "": "0 fields",
        "0 0 * * 0": "weekday: 0 is not from 1 to 7, SUN to SAT (1 is Sunday)",
        "60 * * * *": "minute: 60 is not from 0 to 59",
        "* 24 * * *": "hour: 24",
        "* * 0 * *": "day of the month: 0",
        "* * 32W * *": "day of the month: 32",
        "* * L-31 * *": "L-31 is not from L-1 to L-30",
        "* * * 13 *": "month: 13 is not from 1 to 12, JAN to DEC",
        "* * * * MON#6": "weekday, after #: 6",
        "* * * * FOO": "weekday: FOO",
        "*/0 * * * *": "minute: a step of 0",
        "*/60 * * * *": "minute: a step of 60",
        "*,5 * * * *": "cannot be read",
        "1,,2 * * * *": "an empty item",
        "* * 1W,5 * *": "day of the month",
        "* * ? * *": "cannot be read",
        "@daily": "1 field, not five",
        "٣ * * * *": "cannot be read",
    }.items(),
)
def test_what_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(text)
    assert what in str(caught.value)
