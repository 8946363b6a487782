#!/usr/bin/env bash
# croniter 7.0.0, day_or=True (its default): a day of the month and a weekday are either-or, as in cron, but only while both
# are plain. With `#` in the weekday they must both hold, and "the 15th, or the second Monday" is never: it says that there
# is no next date. With `W` in the day of the month the weekday does not count at all.
# Seen: 15 * 1 -> 02 09 15 16   15 * 1#2 -> CroniterBadDateError   15W * 1 -> 16 15 15 15 (15W alone: the same)
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv v
v/bin/pip -q install croniter==7.0.0
v/bin/python - <<'P'
from datetime import datetime

from croniter import CroniterBadDateError, croniter


def days(days_and_months, count=4):
    found = croniter(f"0 0 {days_and_months}", datetime(2026, 11, 1))
    return [found.get_next(datetime).day for _ in range(count)]


plain, near, near_or_monday = days("15 * 1"), days("15W * *"), days("15W * 1")
print(plain, near, near_or_monday)
assert plain == [2, 9, 15, 16], "either is enough"
assert near_or_monday == near == [16, 15, 15, 15], "either is enough now with W, too"
try:
    found = days("15 * 1#2")
except CroniterBadDateError as error:
    print(error)
else:
    raise AssertionError(f"either is enough now with #, too: {found}")
P
