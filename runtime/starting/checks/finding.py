"""One line of ``pilot doctor``."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """``state``: ok; missing, with what to type in ``remedy``; or a note, which needs nothing done. ``needed``: without
    it ``pilot dev`` does not run."""

    name: str
    state: Literal["ok", "missing", "note"]
    what: str
    remedy: str = ""
    needed: bool = False


__all__ = ["Finding"]
