"""Content that is too large for a row: a file each, in one folder, under a random name that a row refers to.

A file is written under another name, brought to the disk, then renamed: one without ``.part`` is whole. It is referred
to by a transaction after that, and removed after the transaction that lets go of it; so a crash at any moment leaves
at most files that no row names, which the next ``sweep`` removes. Nothing is ever written to a file again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Container
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bindings.storage.file_body import FileBody
from runtime.places import sync_folder

CHUNK_BYTES = 256 * 1024  # read at a time
_WRITE_BYTES = 1024 * 1024  # gathered before a thread writes them
_PART = ".part"
_YOUNG_S = 600.0  # a file that nothing names may be about to be named, by another process too


class Blobs:
    """The folder is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def write(
        self, chunks: AsyncIterator[bytes], seen: Callable[[bytes], object] | None = None
    ) -> tuple[str, int]:
        """(its name, its bytes), once it is on disk. Raises what ``chunks`` does, and OSError; then nothing is left.

        ``seen`` is given all of the content, in the threads that write it.
        """
        writer = await asyncio.to_thread(self.begin, seen)
        try:
            async for chunk in chunks:
                if writer.take(chunk):
                    await asyncio.to_thread(writer.flush)
            return await asyncio.to_thread(writer.finish), writer.size
        finally:
            await asyncio.to_thread(writer.abandon)

    def begin(self, seen: Callable[[bytes], object] | None = None) -> BlobWriter:
        """A new file, to be written in a thread."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return BlobWriter(self.folder, seen)

    def open(self, name: str) -> OpenBlob:
        """To be read. Raises FileNotFoundError."""
        return OpenBlob(self.folder / name)

    def remove(self, name: str) -> None:
        """Whoever reads it now reads it to its end."""
        with suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def sweep(self, named: Container[str]) -> int:
        """Remove what a crash has left: files that no row names. How many."""
        old, removed = time.time() - _YOUNG_S, 0
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name not in named and entry.stat().st_mtime < old:
                    self.remove(entry.name)
                    removed += 1
        return removed


class BlobWriter:
    """One file that is being written. ``take`` is for the loop, the others are for a thread."""

    def __init__(self, folder: Path, seen: Callable[[bytes], object] | None = None) -> None:
        self._name, self._folder, self._seen = secrets.token_hex(16), folder, seen
        self._file: BinaryIO | None = open(folder / (self._name + _PART), "xb", buffering=0)  # noqa: SIM115
        self._waiting: list[bytes] = []
        self._waiting_bytes = self.size = 0

    def take(self, chunk: bytes) -> bool:
        """Whether it is time to ``flush``."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        self.size += len(chunk)
        return self._waiting_bytes >= _WRITE_BYTES

    def flush(self) -> None:
        assert self._file is not None
        content = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        if self._seen is not None:
            self._seen(content)
        self._write(content)

    def append(self, path: Path) -> None:
        """What is in a file."""
        self.flush()
        with open(path, "rb", buffering=0) as source:
            while content := source.read(_WRITE_BYTES):
                self._write(content)
                self.size += len(content)

    def _write(self, content: bytes) -> None:
        assert self._file is not None
        view = memoryview(content)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> str:
        """Its name, once it is on disk."""
        assert self._file is not None
        self.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._folder / (self._name + _PART), self._folder / self._name)
        sync_folder(self._folder)
        self._file = None
        return self._name

    def abandon(self) -> None:
        """Unless it is finished, nothing of it stays."""
        if self._file is not None:
            self._file.close()
            with suppress(FileNotFoundError):
                (self._folder / (self._name + _PART)).unlink()


class OpenBlob:
    """A file that stays whole while it is open, whoever removes it. ``whole`` and ``part`` are for a thread."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self.size = os.fstat(self._file.fileno()).st_size

    @property
    def descriptor(self) -> int:
        """The file's, for as long as it is open."""
        return self._file.fileno()

    def whole(self) -> bytes:
        with self._file:
            return self._file.readall()

    def part(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        self._file.close()


class BlobStream(FileBody):
    """``length`` bytes of it from ``offset``, None: all. It is closed at the end, or by ``aclose``."""

    __slots__ = ("_blob",)

    def __init__(self, blob: OpenBlob, offset: int = 0, length: int | None = None) -> None:
        end = blob.size if length is None else min(blob.size, offset + length)
        super().__init__(blob.descriptor, max(0, end - offset), offset)
        self._blob = blob

    async def aclose(self) -> None:
        self.resize(0)
        self._blob.close()


__all__ = ["CHUNK_BYTES", "BlobStream", "BlobWriter", "Blobs", "OpenBlob"]
