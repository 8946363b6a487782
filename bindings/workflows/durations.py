"""Durations, as upstream reads them, and how a step is retried."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import msgspec

_UNITS = {
    "second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000,
    "month": 2_592_000_000, "year": 31_557_600_000,
}  # fmt: skip
_TEXT = re.compile(r"(\S+) +(\w+?)s?")
MAX_MS = 365 * _UNITS["day"]
_DEFAULTS = {"limit": 5, "delay": 1_000, "backoff": "exponential"}
_DEFAULT_TIMEOUT = "10 minutes"


def milliseconds(value: object) -> float:
    """``1500``, ``"1500"``, ``"2 minutes"``; nan: it is none. An unknown unit counts as milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return math.nan
    number, unit = value, ""
    if (found := _TEXT.fullmatch(value.strip())) is not None:
        number, unit = found.groups()
    try:
        return float(number) * _UNITS.get(unit, 1)
    except ValueError:
        return math.nan


def pause_of(value: object) -> int:
    """How long a sleep takes, in ms: what is no duration takes none, and a year is the most."""
    ms = milliseconds(value)
    return 0 if math.isnan(ms) else round(max(0.0, min(ms, MAX_MS)))


class Retries(msgspec.Struct, forbid_unknown_fields=True):
    limit: float
    delay: float | str
    backoff: Literal["constant", "linear", "exponential"] | None = None


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    retries: Retries | None = None
    timeout: float | str | None = None
    sensitive: Literal["output"] | None = None


class StepConfig(msgspec.Struct, frozen=True):
    """``shown``: as a step's ``ctx.config`` has it. Times are ms."""

    limit: float
    delay: float
    backoff: str
    timeout: int
    secret: bool
    shown: dict[str, Any]

    def pause_after(self, failed: int) -> int:
        """Before the next attempt, when so many have failed."""
        factor = {"constant": 1.0, "linear": float(failed)}.get(self.backoff) or 2.0 ** min(failed - 1, 64)
        return round(min(self.delay * factor, MAX_MS))


def step_config(given: object) -> StepConfig:
    """Raises ValueError for what upstream refuses."""
    try:
        asked = msgspec.convert(given if given is not None else {}, _Given)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    retries: dict[str, object] = {**_DEFAULTS}
    if asked.retries is not None:
        retries |= {key: value for key, value in msgspec.to_builtins(asked.retries).items() if value is not None}
    delay = milliseconds(retries["delay"])
    timeout = milliseconds(_DEFAULT_TIMEOUT if asked.timeout is None else asked.timeout)
    limit = milliseconds(retries["limit"])
    if not (delay >= 0 and timeout > 0 and limit >= 0):  # nan is neither
        raise ValueError("retries or timeout")
    shown = {"retries": retries, "timeout": _DEFAULT_TIMEOUT if asked.timeout is None else asked.timeout}
    secret = asked.sensitive is not None
    return StepConfig(limit, delay, str(retries["backoff"]), round(min(timeout, MAX_MS)), secret, shown)


__all__ = ["MAX_MS", "StepConfig", "milliseconds", "pause_of", "step_config"]
