"""What our own package asks for, and whether what is installed fits: read from metadata, nothing is imported."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import NamedTuple

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*?)\s*(?:;\s*(.*))?")
_BOUND = re.compile(r"(>=|<=|==|<|>)\s*([0-9][0-9.]*)")
_OLDER = re.compile(r"python_version < '([0-9.]+)'")
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


class Requirement(NamedTuple):
    """``bounds`` as it is written: ``>=0.26,<0.34``."""

    name: str
    bounds: str

    @property
    def installed(self) -> str | None:
        return version_of(self.name)

    @property
    def fits(self) -> bool:
        if (version := self.installed) is None:
            return False
        return all(_COMPARE[sign](numbers(version), numbers(bound)) for sign, bound in _BOUND.findall(self.bounds))


def requirements(extra: str = "") -> Iterator[Requirement]:
    """Of ours without any extra, or of one extra alone, on this system."""
    try:
        lines = metadata.requires("pilotlight") or []
    except metadata.PackageNotFoundError:  # run from a folder
        return
    for line in lines:
        if (found := _REQUIREMENT.fullmatch(line)) and _counts(found[3] or "", extra):
            yield Requirement(found[1], found[2])


def _counts(marker: str, extra: str) -> bool:
    named = re.search(r"extra == ['\"]([^'\"]+)", marker)
    older = _OLDER.search(marker)
    return (named[1] if named else "") == extra and not (older and sys.version_info >= numbers(older[1]))


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """``2.13.0+cpu`` → (2, 13), so that 2.13 and 2.13.0 are one."""
    found = [int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0])]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


__all__ = ["Requirement", "numbers", "requirements", "version_of"]
