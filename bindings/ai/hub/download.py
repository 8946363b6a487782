"""Bringing a repository's files into the cache: resumed where they broke off, and compared with their checksums.

A file grows in ``blobs/CHECKSUM.incomplete`` and gets its final name once its bytes are the right ones: whatever has
that name is complete. A process waits for another that fetches the same file.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import aiohttp

from bindings.ai.engine.weights import locked
from bindings.ai.hub import refusals
from bindings.ai.hub.cache import folder_of, hub_cache, hub_home
from bindings.ai.hub.listing import Entry, Listing
from runtime.errors import UserError

MAX_ATTEMPTS = 5  # connections without one new byte, in a row
_BLOCK_BYTES = 1 << 20
_AT_ONCE = 4  # files
_READ_TIMEOUT_S, _CONNECT_TIMEOUT_S = 30.0, 10.0  # without a byte, and a connection counts as broken
_SPARE_BYTES = 100 << 20  # that a disk keeps free

Grown = Callable[[int], None]
"""Told of bytes that have come, less those that had to go again."""


class _Mismatch(Exception):
    """What came is not what was listed."""


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def session() -> aiohttp.ClientSession:
    """With this user's token, which goes to the hub alone: aiohttp leaves it out where a redirect leads elsewhere."""
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S)
    token = _token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return aiohttp.ClientSession(timeout=timeout, trust_env=True, headers={**headers, "Accept-Encoding": "identity"})


def _token() -> str:
    """As Hugging Face's own programs find it."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    file = Path(os.environ.get("HF_TOKEN_PATH") or hub_home() / "token")
    return file.read_text("utf-8").strip() if file.is_file() else ""


class Download:
    """Of one repository, into the cache."""

    def __init__(self, session: aiohttp.ClientSession, repository: str, listing: Listing, grown: Grown) -> None:
        self._session, self._repository, self._commit, self._grown = session, repository, listing.commit, grown
        self._folder = folder_of(repository)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def missing(self, entries: Sequence[Entry]) -> int:
        """Bytes that have to come."""
        return sum(max(0, one.size - self._have(one)) for one in entries)

    def check_room(self, entries: Sequence[Entry]) -> None:
        """Raises UserError: the disk would be full, said before anything comes."""
        there = next(folder for folder in (self._folder, *self._folder.parents) if folder.is_dir())
        wanted, free = self.missing(entries), shutil.disk_usage(there).free
        if wanted and wanted + _SPARE_BYTES > free:
            raise _no_room(f"needs {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free", there)

    async def fetch(self, entries: Sequence[Entry]) -> Path:
        """The snapshot's folder, with all of them in it. Raises UserError."""
        snapshot = self._folder / "snapshots" / self._commit
        try:
            (self._folder / "blobs").mkdir(parents=True, exist_ok=True)
            async with asyncio.TaskGroup() as fetching:
                for one in {one.checksum: one for one in entries}.values():
                    fetching.create_task(self._whole(one))
            for one in entries:
                _link(snapshot / one.path, self._blob(one))
            _write(self._folder / "refs" / "main", self._commit)
        except* UserError as errors:
            raise errors.exceptions[0] from None
        except* OSError as errors:
            raise self._disk(errors.exceptions[0]) from None
        return snapshot

    async def _whole(self, entry: Entry) -> None:
        async with self._turns, locked(self._lock(entry)):
            if self._blob(entry).is_file():
                return
            for last in (False, True):
                await self._resume(entry)
                try:
                    return await asyncio.to_thread(self._accept, entry)
                except _Mismatch:
                    self._grown(-entry.size)
                    if last:
                        raise UserError("does not have the checksum that the hub lists, twice in a row",
                                        where=f"{self._repository}/{entry.path}",
                                        remedy="Something between here and the hub changes files: look at HF_ENDPOINT "
                                        "and the proxy settings.") from None  # fmt: skip

    async def _resume(self, entry: Entry) -> None:
        """Bring its part to its full size, going on where an earlier attempt stopped."""
        idle = 0
        while (before := self._have(entry)) < entry.size or not self._part(entry).exists():
            try:
                await self._receive(entry)
                broken: Exception = aiohttp.ClientPayloadError("the server sent too few bytes")
            except (aiohttp.ClientError, TimeoutError) as error:
                broken = error
            idle = 0 if self._have(entry) > before else idle + 1
            if idle == MAX_ATTEMPTS:
                raise refusals.unreachable(broken, endpoint(), f"{self._repository}/{entry.path}")
            if idle and entry.size:
                await asyncio.sleep(min(0.1 * 2**idle, 5))

    async def _receive(self, entry: Entry) -> None:
        """One connection's worth of it."""
        have = self._have(entry)
        headers = {"Range": f"bytes={have}-"} if have else {}
        url = f"{endpoint()}/{self._repository}/resolve/{self._commit}/{entry.path}"
        async with self._session.get(url, headers=headers) as response:
            if response.status in (408, 416, 429) or response.status >= 500:
                raise aiohttp.ClientPayloadError(f"the server answered {response.status}")
            if not response.ok:
                raise refusals.of(response, endpoint(), self._repository)
            resumed = response.status == 206
            self._grown(0 if resumed else -have)
            with self._part(entry).open("ab" if resumed else "wb") as file:
                await self._save(response, file, entry.size - (have if resumed else 0))

    async def _save(self, response: aiohttp.ClientResponse, file: IO[bytes], room: int) -> None:
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            taken = block[:room]
            file.write(taken)
            self._grown(len(taken))
            if (room := room - len(taken)) <= 0:
                return  # what is more is not our file: the checksum decides

    def _accept(self, entry: Entry) -> None:
        """In a thread. Raises _Mismatch."""
        part = self._part(entry)
        if _checksum(part, entry) != entry.checksum:
            part.unlink()
            raise _Mismatch
        part.replace(self._blob(entry))

    def _lock(self, entry: Entry) -> Path:
        """That of Hugging Face's own programs, too."""
        lock = hub_cache() / ".locks" / self._folder.name / f"{entry.checksum}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock

    def _have(self, entry: Entry) -> int:
        for path in (self._blob(entry), self._part(entry)):
            if path.exists():
                return path.stat().st_size
        return 0

    def _blob(self, entry: Entry) -> Path:
        return self._folder / "blobs" / entry.checksum

    def _part(self, entry: Entry) -> Path:
        return self._folder / "blobs" / f"{entry.checksum}.incomplete"

    def _disk(self, error: BaseException) -> UserError:
        assert isinstance(error, OSError)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _no_room("the disk is full", self._folder)
        return _no_room(f"cannot be written: {error.strerror or error}", self._folder)


def _no_room(what: str, folder: Path) -> UserError:
    return UserError(what, where=str(folder), remedy="Keep models elsewhere:  export HF_HOME=/path/with/space")


def _checksum(path: Path, entry: Entry) -> str:
    """Git's of a small file is the SHA-1 of its kind, its size and its content."""
    with path.open("rb") as file:
        if entry.is_lfs:
            return hashlib.file_digest(file, "sha256").hexdigest()
        header = f"blob {os.fstat(file.fileno()).st_size}\0".encode()
        return hashlib.sha1(header + file.read(), usedforsecurity=False).hexdigest()


def _link(name: Path, blob: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    aside = name.with_name(f".{name.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(blob, name.parent))
    aside.replace(name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)


__all__ = ["Download", "Grown", "endpoint", "session"]
