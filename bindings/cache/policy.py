"""What a shared cache keeps, and for how long. RFC 9111, section 3 and 4.2.1."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Sequence

Pairs = Sequence[tuple[bytes, bytes]]

_KEPT_STATUSES = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501})
_DIRECTIVE = re.compile(r'\s*([\w-]+)\s*(?:=\s*("[^"]*"|[^\s,]*))?\s*(?:,|$)')
_COOKIES = b"set-cookie"


def lifetime(status: int, headers: Pairs, now: float) -> float:
    """Seconds for which the answer may be kept; 0: it may not be."""
    directives = cache_control(headers)
    private = directives.get("private")
    unkept = "no-store" in directives or (private is not None and private != "set-cookie")
    cookies = any(name == _COOKIES for name, _ in headers) and private != "set-cookie"
    if status not in _KEPT_STATUSES or unkept or cookies:
        return 0
    for name in ("s-maxage", "max-age"):
        if (text := directives.get(name)) is not None:
            return float(text) if text.isascii() and text.isdigit() else 0
    expires = _moment(value_of(headers, b"expires"))
    if expires is None:
        return 0
    return max(0.0, expires - (_moment(value_of(headers, b"date")) or now))


def kept(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """The headers that are kept: no cookie, and no length, which is the body's own."""
    return [(name, value) for name, value in headers if name not in (_COOKIES, b"content-length")]


def cache_control(headers: Pairs) -> dict[str, str]:
    """Directive → value, both in lower case; "" without one. The first of a name counts."""
    text = b",".join(value for name, value in headers if name == b"cache-control").decode("latin-1").lower()
    found: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(text):
        found.setdefault(match[1], (match[2] or "").strip('"'))
    return found


def value_of(headers: Pairs, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), "")


def is_unchanged(request: Pairs, stored: Pairs) -> bool:
    """Whether who asks has this very answer: ``If-None-Match``, else ``If-Modified-Since``."""
    if tags := value_of(request, b"if-none-match"):
        own = value_of(stored, b"etag").removeprefix("W/")
        given = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return bool(own) and (own in given or "*" in given)
    since, modified = (_moment(value_of(pairs, name)) for pairs, name in
                       ((request, b"if-modified-since"), (stored, b"last-modified")))  # fmt: skip
    return since is not None and modified is not None and modified <= since


def span(request: Pairs, size: int) -> tuple[int, int] | None:
    """(offset, length) of the one range that is asked for. None: none is, or more than one. Raises ValueError: there is
    nothing there."""
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", value_of(request, b"range"), re.IGNORECASE | re.ASCII)
    if match is None or match[1] == match[2] == "":
        return None
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    last = min(size - 1, int(match[2])) if match[1] and match[2] else size - 1
    if match[1] and match[2] and int(match[2]) < first:
        return None  # which is no range
    if first > last:
        raise ValueError
    return first, last - first + 1


def _moment(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return 0 if text.strip() == "0" else None


__all__ = ["Pairs", "cache_control", "is_unchanged", "kept", "lifetime", "span", "value_of"]
