"""A bundle: a worker's files, as they travel and as they lie on the host.

On the wire it is the upload of Cloudflare's API (multipart: a part ``metadata`` and one part per module). On disk it
is a folder named by the hash of all it holds, written aside and moved into place whole: a folder that has its name is
complete, and two versions with the same files share one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from runtime.errors import RequestError
from runtime.places import sync_folder

MAX_FILES = 20_000  # in one bundle
MAX_PATH_BYTES = 200  # bytes of one path
MAX_DEPTH = 32  # folders in one path
_UPLOAD_GRACE_S = 3600.0  # seconds; no upload takes as long


@dataclass(frozen=True)
class Bundle:
    """``files``: path → content, the paths checked; ``main`` is the entry's."""

    main: str
    files: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of every path and content; the order in which they came does not count."""
        whole = hashlib.sha256(self.main.encode())
        for name in sorted(self.files):
            whole.update(b"\0" + name.encode() + b"\0" + hashlib.sha256(self.files[name]).digest())
        return whole.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


def bundle(main: str, files: Iterable[tuple[str, bytes]]) -> Bundle:
    """Checked. Raises RequestError for a path that could leave its folder, for two files of one name, and so on."""
    kept: dict[str, bytes] = {}
    for name, content in files:
        path = safe_path(name)
        if path in kept:
            raise _bad(f"two files are called {path!r}")
        if len(kept) >= MAX_FILES:
            raise _bad(f"there are more than {MAX_FILES} files")
        kept[path] = content
    folders = {str(parent) for name in kept for parent in PurePosixPath(name).parents}
    if clash := sorted(folders & kept.keys()):
        raise _bad(f"{clash[0]!r} is both a file and a folder")
    if main not in kept:
        raise _bad(f"the main module {main!r} is not among the files")
    return Bundle(main, kept)


def safe_path(name: str) -> str:
    """A relative path with forward slashes that stays below its folder. Raises RequestError."""
    parts = name.removeprefix("./").split("/")
    odd = any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 or char in "\\\x7f" for char in name)
    try:
        long = len(name.encode()) > MAX_PATH_BYTES or len(parts) > MAX_DEPTH
    except UnicodeEncodeError:
        odd, long = True, False
    if odd or long or ":" in parts[0]:
        raise _bad(f"{name[:MAX_PATH_BYTES]!r} is not a path that can be kept")
    return "/".join(parts)


class Bundles:
    """The bundles of one host, below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root, self._lock = root, threading.Lock()  # what is kept anew must not be swept away in that moment
        root.mkdir(parents=True, exist_ok=True)
        for left in (*root.glob(".new-*"), *root.glob(".old-*")):  # of an upload or a sweep that the host's end has cut
            shutil.rmtree(left, ignore_errors=True)

    def path(self, digest: str) -> Path:
        return self._root / digest

    def keep(self, new: Bundle) -> Path:
        """Write it, unless it is there; when this returns it survives the machine's end. Raises OSError (disk full)."""
        place = self.path(new.digest)
        with suppress(FileNotFoundError), self._lock:
            os.utime(place)  # it is wanted anew
            return place
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        try:
            for name, content in new.files.items():
                _write(aside / name, content)
            aside.chmod(0o755)
            for folder, _, _ in os.walk(aside):
                sync_folder(Path(folder))
            aside.rename(place)
            sync_folder(self._root)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            if not place.is_dir():  # somebody else was quicker
                raise
        return place

    def sweep(self, in_use: set[str]) -> None:
        """Remove the bundles that no version names any more; a new one may belong to an upload that is not over."""
        unused = [name for name in os.listdir(self._root) if name not in in_use and not name.startswith(".")]
        for place in map(self.path, unused):
            aside = self._root / f".old-{place.name}"  # half a bundle must not have a whole one's name
            with suppress(FileNotFoundError), self._lock:  # another sweep was quicker
                if place.stat().st_mtime < time.time() - _UPLOAD_GRACE_S:
                    place.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o444)


def _bad(what: str) -> RequestError:
    return RequestError(400, what, where="the upload")


__all__ = ["Bundle", "Bundles", "bundle", "safe_path"]
