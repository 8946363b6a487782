"""A host's assets on disk: each file once, by its content's hash, whoever sent it and for how many versions.

Below ``state/assets``:

    files/ab/abcd…         a file's content, named by its SHA-256
    hashes/WORKER/HASH     a link to it, named by what the client calls it: no worker's client speaks for another's
    sessions/DIGEST.json   an upload that is under way: path → [hash, bytes]
    sites/DIGEST.json      one that is complete: path → [SHA-256, bytes]; versions name it

All are written aside, brought to the disk, then renamed: what has its name is whole, and a ``kill -9`` leaves at most
what the next ``sweep`` removes. Everything blocks; the loop calls it in a thread. Raises OSError (disk full).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.errors import UserError
from runtime.places import sync_folder

GRACE_S = 2 * 3600.0  # seconds that something nobody names is kept: no upload takes as long

Session = Mapping[str, tuple[str, int]]  # path → (the client's hash, bytes)
SiteFiles = Mapping[str, tuple[str, int]]  # path → (SHA-256, bytes)


class AssetStore:
    """``root``: its folder, made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for left in root.glob("**/.new-*"):  # of an upload that the host's end has cut
            left.unlink(missing_ok=True)

    def begin(self, worker: str, session: Session) -> tuple[str, list[str]]:
        """(the session's digest, the hashes of the files that are not here yet)."""
        digest = self._keep("sessions", msgspec.json.encode(dict(sorted(session.items()))))
        return digest, self.missing(worker, session)

    def session(self, digest: str) -> Session:
        """Raises FileNotFoundError."""
        content = (self._root / "sessions" / f"{digest}.json").read_bytes()
        session: Session = msgspec.json.decode(content, type=Session)
        return session

    def missing(self, worker: str, session: Session) -> list[str]:
        """Hashes, each once. Those that are here are kept for as long as an upload may take."""
        hashes = dict.fromkeys(hash for hash, _ in session.values())
        return [hash for hash in hashes if not self._wanted(self._link(worker, hash))]

    def put(self, worker: str, hash: str, content: bytes) -> None:
        """When this returns it survives the machine's end."""
        digest = hashlib.sha256(content).hexdigest()
        place = self.file(digest)
        if not self._wanted(place):
            _write(place, content)
        link = self._link(worker, hash)
        link.parent.mkdir(parents=True, exist_ok=True)
        aside = link.with_name(f".new-{os.urandom(8).hex()}")
        aside.symlink_to(os.path.relpath(place, link.parent))
        aside.replace(link)
        sync_folder(link.parent)

    def finish(self, worker: str, session: Session) -> str | None:
        """The digest of the complete site; None: files are missing."""
        files = {path: (self._link(worker, hash), size) for path, (hash, size) in sorted(session.items())}
        try:
            site = {path: (os.path.basename(os.readlink(link)), size) for path, (link, size) in files.items()}
        except FileNotFoundError:
            return None
        return self._keep("sites", msgspec.json.encode(site))

    def site(self, digest: str) -> SiteFiles:
        """Raises UserError."""
        list_ = self._root / "sites" / f"{digest}.json"
        try:
            content = list_.read_bytes()
            files: SiteFiles = msgspec.json.decode(content, type=SiteFiles)
        except (OSError, msgspec.DecodeError) as error:
            what = f"the list of the version's assets cannot be read: {error}"
            raise UserError(what, where=str(list_), remedy="Send the worker again:  pilot deploy") from None
        return files

    def file(self, digest: str) -> Path:
        return self._root / "files" / digest[:2] / digest

    def sweep(self, sites: Collection[str]) -> None:
        """Remove what belongs to none of these sites, and to no upload that may be under way."""
        old = time.time() - GRACE_S
        for place in _older(self._root / "sites", old):
            if place.stem not in sites:
                place.unlink(missing_ok=True)
        for place in _older(self._root / "sessions", old):
            place.unlink(missing_ok=True)
        lists = (self.site(place.stem) for place in (self._root / "sites").glob("*.json"))
        named = {digest for site in lists for digest, _ in site.values()}
        for folder in _entries(self._root / "files"):
            for place in _older(folder, old):
                if place.name not in named:
                    place.unlink(missing_ok=True)
        for link in (self._root / "hashes").glob("*/*"):
            if not link.exists():
                link.unlink(missing_ok=True)

    def _link(self, worker: str, hash: str) -> Path:
        return self._root / "hashes" / worker / hash

    def _wanted(self, place: Path) -> bool:
        """Whether it is there; if so it counts as new from now on."""
        try:
            os.utime(place)
        except FileNotFoundError:
            return False
        return True

    def _keep(self, kind: str, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        place = self._root / kind / f"{digest}.json"
        if not self._wanted(place):
            _write(place, content)
        return digest


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=".new-", dir=place.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(aside, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(aside)
        raise
    sync_folder(place.parent)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _older(folder: Path, than: float) -> Iterator[Path]:
    for place in _entries(folder):
        with suppress(FileNotFoundError):
            if place.stat().st_mtime < than:
                yield place


__all__ = ["AssetStore", "Session", "SiteFiles"]
