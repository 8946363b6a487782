"""A worker's mail on disk: a file per message, ``.eml``, which any mail program opens.

Above the message's own bytes stand three lines, as a mail server puts them there: ``Return-Path`` and ``Delivered-To``
are the envelope's, ``X-Pilotlight-Mail`` says how the message came to be here. A file is whole or not there: it is
written under another name, brought to the disk, then renamed. The oldest go when there are too many.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from bindings.email.head import Head
from bindings.storage.resources import About
from runtime.places import sync_folder

MAX_MESSAGES = 1000
MAX_BYTES = 256 * 1024 * 1024
Kind = Literal["sent", "received", "reply", "forward"]
_PART, _EML = ".part", ".eml"
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}-[0-9a-f]{8}\.eml")
_HEAD_BYTES = 64 * 1024  # of a file, that are read to list it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Kept(NamedTuple):
    """``at``: ISO 8601, UTC."""

    name: str
    kind: str
    at: str
    sender: str
    recipient: str
    subject: str
    size: int


class Mailbox:
    """``folder`` is the worker's own."""

    def __init__(self, folder: Path, about: About) -> None:
        self.folder = folder
        self._sizes: dict[str, int] | None = None  # by name, oldest first
        self._turn = asyncio.Lock()

    async def keep(self, kind: Kind, sender: str, recipients: Sequence[str], raw: bytes) -> Path:
        """Where it is, once it is on the disk. Raises OSError."""
        lines = [f"Return-Path: <{sender}>", f"Delivered-To: {', '.join(recipients)}", f"X-Pilotlight-Mail: {kind}"]
        head = "".join(_CONTROL.sub(" ", line) + "\r\n" for line in lines)
        async with self._turn:  # one after another: their names are in their order
            return await asyncio.to_thread(self._write, head.encode("utf-8", "replace") + raw)

    async def listed(self, offset: int, count: int) -> tuple[list[Kept], int]:
        """(some, newest first; how many there are)."""
        return await asyncio.to_thread(self._listed, offset, count)

    async def read(self, name: str) -> bytes | None:
        if not _NAME.fullmatch(name):
            return None
        with suppress(FileNotFoundError):
            return await asyncio.to_thread((self.folder / name).read_bytes)
        return None

    async def aclose(self) -> None:
        async with self._turn:
            pass

    # In a thread

    def _write(self, content: bytes) -> Path:
        sizes = self._known()
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}{_EML}"
        part = self.folder / f"{name}{_PART}"
        try:
            with open(part, "xb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self.folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(self.folder)
        sizes[name] = len(content)
        self._trim(sizes)
        return self.folder / name

    def _known(self) -> dict[str, int]:
        if self._sizes is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in self.folder.glob(f"*{_PART}"):  # a kill in mid-write
                left.unlink(missing_ok=True)
            self._sizes = {name: (self.folder / name).stat().st_size for name in self._names()}
        return self._sizes

    def _trim(self, sizes: dict[str, int]) -> None:
        total = sum(sizes.values())
        while len(sizes) > 1 and (len(sizes) > MAX_MESSAGES or total > MAX_BYTES):
            oldest = next(iter(sizes))
            total -= sizes.pop(oldest)
            (self.folder / oldest).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            return sorted(entry.name for entry in entries if _NAME.fullmatch(entry.name))
        return []

    def _listed(self, offset: int, count: int) -> tuple[list[Kept], int]:
        names = self._names()[::-1]
        found = [self._described(name) for name in names[offset : offset + count]]
        return [one for one in found if one is not None], len(names)

    def _described(self, name: str) -> Kept | None:
        try:
            with open(self.folder / name, "rb") as file:
                head, size = Head(file.read(_HEAD_BYTES)), os.fstat(file.fileno()).st_size
        except FileNotFoundError:  # it has just gone
            return None
        at = datetime.strptime(name[:22], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC).isoformat(timespec="milliseconds")
        sender = (head.get("return-path") or "").strip("<>")
        return Kept(name, head.get("x-pilotlight-mail") or "", at, sender, head.get("delivered-to") or "",
                    head.subject, size)  # fmt: skip


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


__all__ = ["MAX_BYTES", "MAX_MESSAGES", "Kept", "Kind", "Mailbox"]
