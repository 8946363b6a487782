"""How an object loses its file, or what it has written."""

from __future__ import annotations


class Stale(Exception):
    """Another process has the object."""


class Undone(Exception):
    """What was written, and not yet kept, is lost."""


__all__ = ["Stale", "Undone"]
