"""What somebody may have meant by a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAME_CHARS = 100  # characters of a name that is looked into


def closest(name: str, known: Iterable[str], count: int = 1, *, alike: float = 0.7) -> list[str]:
    """At most ``count`` of ``known`` that resemble ``name``, best first. ``alike``: 0 to 1, from none to all of it."""
    from difflib import get_close_matches  # 5 ms: only who is wrong waits for it

    return get_close_matches(name[:MAX_NAME_CHARS], list(known), n=count, cutoff=alike)


def close_to(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'vars'?)``, or nothing."""
    match = closest(name, known)
    return f" (did you mean '{match[0]}'?)" if match else ""


__all__ = ["close_to", "closest"]
