"""JSON from a stranger: what takes seconds and gigabytes to decode is refused before it is."""

from __future__ import annotations

import msgspec

_MAX_CONTAINERS, _MAX_VALUES = 250_000, 2_000_000


def decode(content: bytes) -> object:
    """The value. Raises ``msgspec.DecodeError``, also for too many lists, objects or values: each bracket and comma
    counts for one, those in texts as well."""
    if content.count(b"[") + content.count(b"{") > _MAX_CONTAINERS:
        raise msgspec.DecodeError(f"more than {_MAX_CONTAINERS:,} lists and objects")
    if content.count(b",") > _MAX_VALUES:
        raise msgspec.DecodeError(f"more than {_MAX_VALUES:,} values")
    return msgspec.json.decode(content)


__all__ = ["decode"]
