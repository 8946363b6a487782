"""A request's path as assets are looked for: normalized, decoded, encoded anew.

The address of an asset is its path with every character percent-encoded that JavaScript's ``encodeURIComponent``
encodes; another way to write it leads there.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from runtime.web import URL

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!*'()-][A-Za-z0-9._~!*'()-]*)*/?")  # the same in all three forms
_UNENCODED = "!~*'()"
_SLASHES = re.compile("/+")


class Target(NamedTuple):
    """What is asked for. ``path`` is as the URL standard normalizes it, ``decoded`` without its percent signs."""

    path: str
    decoded: str


def target(path: str) -> Target:
    """``path``: as it was sent."""
    if path.startswith("/") and _PLAIN.fullmatch(path):
        return Target(path, path)
    return of_url(f"http://localhost{path if path.startswith('/') else '/'}")


def of_url(url: str, base: str | None = None) -> Target:
    """Raises ``TypeError`` for what is no URL."""
    path = URL(url, base).pathname if base else URL(url).pathname
    return Target(path, decode(path))


def decode(path: str) -> str:
    """Segment by segment; what is no UTF-8 stays as it is, and slashes in a row are one."""
    return _SLASHES.sub("/", "/".join(map(_decoded, path.split("/"))))


def encode(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else quote(path, safe="/" + _UNENCODED)


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    if re.search("%(?![0-9A-Fa-f]{2})", segment):
        return segment
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return segment


__all__ = ["Target", "decode", "encode", "of_url", "target"]
