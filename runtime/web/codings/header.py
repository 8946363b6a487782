"""``Content-Encoding`` and ``Accept-Encoding`` (RFC 9110, sections 8.4 and 12.5.3)."""

from __future__ import annotations

import re

from runtime.web.codings.coders import CODINGS

_ZERO_WEIGHT = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE)


def canonical(header: str | None) -> str:
    """A Content-Encoding value as a name to compare; ``""`` for none."""
    name = (header or "").strip().lower()
    return {"identity": "", "x-gzip": "gzip"}.get(name, name)


def is_known(coding: str) -> bool:
    return coding in CODINGS


def accepts(header: str | None, coding: str) -> bool:
    """Whether an ``Accept-Encoding`` allows ``coding``. Where a client says nothing it takes anything (RFC 9110,
    section 12.5.3)."""
    if header is None:
        return True
    parts = [part.partition(";") for part in header.lower().split(",")]
    allowed = {canonical(name): not _ZERO_WEIGHT.fullmatch(weight) for name, _, weight in parts}
    return allowed.get(coding, allowed.get("*", False))


__all__ = ["accepts", "canonical", "is_known"]
