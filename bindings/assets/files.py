"""The files of a site, wherever they are kept."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import msgspec

from bindings.assets.media_types import media_type
from bindings.assets.rules.headers import HeaderRules, RawHeaders
from bindings.assets.rules.redirects import RedirectRules
from bindings.storage.file_body import FileBody

CACHED_FILE_BYTES = 256 * 1024  # of a file whose content is kept in memory; a larger one is read anew
_CACHE_BYTES = 64 * 1024 * 1024  # of all of them, the sites of a host taken together


class Rules(msgspec.Struct, frozen=True):
    """What ``_headers`` and ``_redirects`` say."""

    headers: HeaderRules
    redirects: RedirectRules


class Asset(msgspec.Struct, frozen=True):
    """One file. ``tag``: 32 hex digits of its content's hash; ``headers``: those that every answer with it has."""

    tag: str
    size: int  # bytes
    headers: RawHeaders

    @classmethod
    def of(cls, path: str, tag: str, size: int) -> Asset:
        kind = media_type(path)
        typed = [] if kind is None else [(b"content-type", kind.encode())]
        return cls(tag, size, [(b"etag", b'"%b"' % tag.encode()), *typed])


class Files(Protocol):
    """Paths are decoded and begin with a slash."""

    def rules(self) -> Rules:
        """As they are now."""

    def exists(self, path: str) -> bool: ...

    async def open(self, path: str) -> tuple[Asset, bytes | FileBody] | None:
        """With its content, which the caller closes. None: it is gone. Raises OSError."""


class Contents:
    """Small files in memory, by a key that their content alone has; the one unused for longest goes first."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object) -> bytes | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: object, content: bytes) -> None:
        if len(content) > CACHED_FILE_BYTES or key in self._kept:
            return
        self._kept[key] = content
        self._size += len(content)
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])


def read(path: Path, size: int) -> bytes | FileBody:
    """A file's content: a small one's at once. Raises OSError."""
    return path.read_bytes() if size <= CACHED_FILE_BYTES else FileBody.of(path, size)


__all__ = ["CACHED_FILE_BYTES", "Asset", "Contents", "Files", "Rules", "read"]
