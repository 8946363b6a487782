"""The files of ``pilot dev``: a folder that is looked at anew for each request, so that what is saved is served.

What has been seen counts for one turn of the event loop: requests that have come in together look once.
Nothing outside of it is reached: a path's segments are names, and folders that are links are not entered. A file that
is a link is what it leads to, as upstream has it: whoever may put a link there may put a file there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bindings.assets.files import CACHED_FILE_BYTES, Asset, Contents, Rules
from bindings.assets.rules.headers import HeaderRules
from bindings.assets.rules.redirects import RedirectRules
from bindings.assets.settings import MAX_FILE_BYTES, META_FILES
from bindings.storage.file_body import FileBody

_MAX_KNOWN = 20_000  # paths remembered
_CLOCK_S = 0.05  # seconds in which two saves may have the same time
_HASH_CHUNK_BYTES = 1 << 20

Stamp = tuple[int, int, int, int]  # device, inode, bytes, time of change in ns


class FolderFiles:
    """``root``: absolute. ``html``: the site's ``html_handling``. ``private``: files and folders that are never served.
    ``warn`` is told once of what cannot be used."""

    def __init__(
        self, root: Path, html: str, private: Sequence[Path], contents: Contents, warn: Callable[[str], None]
    ) -> None:
        self._root, self._html, self._contents, self._warn = str(root), html, contents, warn
        self._private = tuple(f"{path}/" for path in private)
        self._seen: dict[str, Stamp | None] = {}  # in this turn of the loop, by path; None: there is nothing to serve
        self._served: dict[str, Stamp] = {}  # what is known to be inside, and not left out
        self._assets: dict[str, tuple[Stamp, Asset]] = {}
        self._told: set[str] = set()
        self._metas: list[Stamp | None] = []
        self._looked = False  # in this turn of the loop, at the files that are about files
        self._rules = Rules(HeaderRules(), RedirectRules())
        self._ignores: Any = None

    def rules(self) -> Rules:
        """Asked before anything else is."""
        if not self._looked:
            self._looked = True
            asyncio.get_running_loop().call_soon(self._forget)
            metas = [_stamp(f"{self._root}/{name}") for name in META_FILES]
            if metas != self._metas:
                self._metas = metas
                self._read_metas()
        return self._rules

    def exists(self, path: str) -> bool:
        return self._stamp(path) is not None

    async def open(self, path: str) -> tuple[Asset, bytes | FileBody] | None:
        stamp = self._stamp(path)
        if stamp is None:
            return None
        known = self._assets.get(path)
        if known is not None and known[0] == stamp and (content := self._contents.get((self._root, path, stamp))):
            return known[1], content
        try:
            return await self._opened(path, stamp)
        except FileNotFoundError:
            return None

    async def _opened(self, path: str, stamp: Stamp) -> tuple[Asset, bytes | FileBody]:
        small = stamp[2] <= CACHED_FILE_BYTES
        if small:
            content = Path(self._root + path).read_bytes()
            if _is_settled(stamp):
                self._contents.keep((self._root, path, stamp), content)
            return self._asset(path, stamp, hashlib.sha256(content).hexdigest(), len(content)), content
        body = FileBody.of(self._root + path, stamp[2])
        try:
            known = self._assets.get(path)
            if known is not None and known[0] == stamp == _stamp(body.descriptor):
                return known[1], body
            digest, size = await asyncio.to_thread(_digest, body.descriptor)
            body.resize(size)
            return self._asset(path, stamp, digest, size), body
        except BaseException:
            await body.aclose()
            raise

    def _asset(self, path: str, stamp: Stamp, digest: str, size: int) -> Asset:
        asset = Asset.of(path, digest[:32], size)
        if size == stamp[2] and _is_settled(stamp):  # else it may be written to meanwhile
            self._assets[path] = stamp, asset
        return asset

    def _stamp(self, path: str) -> Stamp | None:
        if path in self._seen:
            return self._seen[path]
        stamp = _stamp(self._root + path) if _is_inside(path) else None
        if stamp is not None and self._served.get(path) != stamp:
            stamp = self._verified(path, stamp)
        self._seen[path] = stamp
        return stamp

    def _verified(self, path: str, stamp: Stamp) -> Stamp | None:
        if not self._serves(path, stamp):
            return None
        if len(self._served) >= _MAX_KNOWN:
            self._served.clear()
            self._assets.clear()
        self._served[path] = stamp
        return stamp

    def _forget(self) -> None:
        self._looked = False
        self._seen.clear()

    def _serves(self, path: str, stamp: Stamp) -> bool:
        folder = os.path.dirname(self._root + path)
        if f"{self._root}{path}/".startswith(self._private):
            return False
        beyond = os.path.realpath(folder) != os.path.realpath(self._root) + os.path.dirname(path).rstrip("/")
        if beyond or path[1:] in META_FILES or (self._ignores is not None and self._ignores.match_file(path[1:])):
            return False
        if stamp[2] > MAX_FILE_BYTES:
            self._tell(f"{path[1:]} is not served: it has over {MAX_FILE_BYTES >> 20} MiB, which no asset may have")
        return stamp[2] <= MAX_FILE_BYTES

    def _read_metas(self) -> None:
        texts = [_text(f"{self._root}/{name}") for name in META_FILES]
        self._rules = Rules(
            HeaderRules(texts[0], self._warner(META_FILES[0])),
            RedirectRules(texts[1], self._warner(META_FILES[1]), self._html),
        )
        self._ignores = ignored(texts[2])
        self._served.clear()

    def _warner(self, name: str) -> Callable[[int, str], None]:
        return lambda line, what: self._tell(f"{name}, line {line}: {what}")

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._warn(f"{os.path.basename(self._root)}/{what}")


def ignored(text: str) -> Any:
    """What ``.assetsignore`` says, to be asked with ``match_file(path)``; None where it says nothing."""
    if not text.strip():
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(text.splitlines())


def _is_inside(path: str) -> bool:
    return "\0" not in path and not any(name in ("", ".", "..") for name in path[1:].split("/"))


def _stamp(file: str | int) -> Stamp | None:
    """Of a regular file, by its name or its descriptor."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_settled(stamp: Stamp) -> bool:
    """Another save would show in the time of change: clocks of file systems are coarse."""
    return time.time() - stamp[3] / 1e9 > _CLOCK_S


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""


def _digest(descriptor: int) -> tuple[str, int]:
    """(SHA-256 in hex, bytes) of an open file."""
    whole, offset = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, _HASH_CHUNK_BYTES, offset):
        whole.update(chunk)
        offset += len(chunk)
    return whole.hexdigest(), offset


__all__ = ["FolderFiles", "ignored"]
