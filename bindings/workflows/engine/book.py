"""Which steps an instance has, and which of them a run has come to."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from bindings.workflows import errors
from bindings.workflows.engine import rows
from bindings.workflows.engine.rows import SLEEP, Step

Key = tuple[str, str, int]  # kind, name, which of these
MAX_NAME = 256  # characters
_MAX_SLEEPS = 10  # times the limit of steps, which they do not count towards
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class StepBook:
    """``instance``: its number; ``limit``: steps that it may have; ``known``: (position, *key) of those it has."""

    def __init__(self, instance: int, limit: int, known: Iterable[tuple[int, str, str, int]]) -> None:
        positions = {(kind, name, nth): position for position, kind, name, nth in known}
        self._instance, self._limit, self._known = instance, limit, set(positions)
        self._position = max(positions.values(), default=-1) + 1
        self._sleeps = sum(kind == SLEEP for kind, _, _ in positions)
        self._come_to: dict[tuple[str, str], int] = {}

    def next(self, kind: str, name: object) -> Key:
        """The run has come to a step of that name once more. Raises WorkflowError."""
        if not isinstance(name, str) or len(name) > MAX_NAME or _CONTROL.search(name):
            raise errors.bad_step_name(name)
        nth = self._come_to[kind, name] = self._come_to.get((kind, name), 0) + 1
        return kind, name, nth

    def has(self, key: Key) -> bool:
        return key in self._known

    def add(self, key: Key, detail: dict[str, object]) -> Step:
        """One that begins now. Raises WorkflowError."""
        sleeps, most = key[0] == SLEEP, self._limit
        if (self._sleeps >= most * _MAX_SLEEPS) if sleeps else (len(self._known) - self._sleeps >= most):
            raise errors.too_many_steps(most)
        self._sleeps += sleeps
        self._known.add(key)
        position, self._position = self._position, self._position + 1
        at, text = rows.now(), msgspec.json.encode(detail).decode()
        return Step(self._instance, position, *key, "running", text, started=at, began=at)


__all__ = ["Key", "StepBook"]
