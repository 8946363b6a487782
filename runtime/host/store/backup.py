"""``pilot host backup`` and ``restore``: one file that has all a host keeps but its key.

The file is a gzipped tar: ``backup.json``, ``host.db``, ``bundles/``, ``state/``, ``host.toml``, ``models.yaml``.
Secrets are in it as the registry has them, sealed; API tokens as hashes. Neither the key that opens the secrets is in
it, nor the token of this machine; packages are not, since they are installed again.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from runtime import VERSION
from runtime.errors import UserError
from runtime.host.store import restored
from runtime.host.store.local_token import LOCK
from runtime.host.store.registry import SCHEMA_VERSION, Registry
from runtime.host.store.rows import now
from runtime.host.store.snapshot import is_database, snapshot
from runtime.places import sync_folder

KEY_FILE = "secrets.key"
_ABOUT = "backup.json"
_FORMAT = 1
_KEPT = {"host.db", "bundles", "state", "host.toml", "models.yaml"}  # of what lies in the data folder
_HALF = (".new-", ".old-", ".removed-", ".part")  # how names of what is being written or removed begin or end
_COPY, _LONGEST_S = ".backup-", 86400.0  # how a copy's folder begins; seconds that no backup takes
_PURPOSE = b"pilot host backup"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """``key``: which key the secrets are sealed with, without telling it: its HMAC-SHA-256 of a constant, in hex."""

    format: int
    pilot: str  # the release that wrote it
    made: str  # ISO 8601
    schema: int
    secrets: int  # how many versions have some
    key: str | None


def backup(data: Path, file: Path) -> About:
    """Write ``file``, whole or not at all, while the host serves or not. Raises UserError, OSError, sqlite3.Error."""
    if file.exists():
        raise UserError("is there already", where=str(file), remedy="Give another name, or remove it.")
    if not (data / "host.db").is_file():
        raise UserError("there is no host's data", where=str(data), remedy="pilot host --data FOLDER backup FILE")
    for left in data.glob(f"{_COPY}*"):  # of a backup that was cut
        if left.stat().st_mtime < time.time() - _LONGEST_S:
            restored.remove(left)
    with tempfile.TemporaryDirectory(prefix=_COPY, dir=data) as folder:
        copy = Path(folder, "copy")
        snapshot(data, copy, lambda path: (path.parent != data or path.name in _KEPT) and not _is_half(path.name))
        about = _about(data, copy)
        (copy / _ABOUT).write_bytes(msgspec.json.encode(about))
        _pack(copy, file)
    return about


def restore(file: Path, data: Path, *, replace: bool = False, key: Path | None = None) -> About:
    """Make ``data`` what was backed up, or leave it as it is. Raises UserError, OSError, sqlite3.Error."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(data):
        restored.finish(data)
        if not replace and any((data / name).exists() for name in restored.REPLACED):
            remedy = "--data FOLDER   or, to lose what it has:  --replace"
            raise UserError("has a host's data already", where=str(data), remedy=remedy)
        staged = data / restored.STAGED
        restored.remove(staged)
        try:
            about = _unpacked(file, staged)
            _check(about, file, staged)
            _bring_key(about, staged, data, key)
        except BaseException:
            restored.remove(staged)
            raise
        os.sync()
        staged.rename(data / restored.WHOLE)
        sync_folder(data)
        restored.finish(data)
    return about


def _is_half(name: str) -> bool:
    return name.startswith(_HALF[:3]) or name.endswith(_HALF[3])


def _about(data: Path, copy: Path) -> About:
    key = data / KEY_FILE
    with closing(Registry(copy / "host.db")) as registry:
        sealed = sum(bool(row.secrets) for name in registry.workers() for row in registry.versions(name, 1 << 30))
    for beside in copy.glob("host.db-*"):
        beside.unlink()
    mark = _mark(key.read_bytes()) if key.is_file() else None
    return About(format=_FORMAT, pilot=VERSION, made=now(), schema=SCHEMA_VERSION, secrets=sealed, key=mark)


def _mark(key: bytes) -> str:
    return hmac.new(key, _PURPOSE, "sha256").hexdigest()


def _pack(folder: Path, file: Path) -> None:
    """``backup.json`` first: what a reader must know before the rest."""
    half = file.with_name(file.name + ".part")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as archive:
                for name in sorted(os.listdir(folder), key=lambda name: (name != _ABOUT, name)):
                    archive.add(folder / name, name)
            out.flush()
            os.fsync(out.fileno())
        _name(half, file)
        sync_folder(file.absolute().parent)
    finally:
        half.unlink(missing_ok=True)


def _name(half: Path, file: Path) -> None:
    try:
        os.link(half, file)  # unlike a rename it overwrites nothing
    except FileExistsError:
        raise
    except OSError:  # no links on this disk
        half.rename(file)


def _unpacked(file: Path, target: Path) -> About:
    target.mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                _unpack(archive, member, target)
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass  # to its end, where its checksum is
        return msgspec.json.decode((target / _ABOUT).read_bytes(), type=About)
    except FileNotFoundError as error:
        remedy = "Name a file that  pilot host backup  has written."
        raise UserError(f"there is no {Path(error.filename or '').name}", where=str(file), remedy=remedy) from None
    except (tarfile.TarError, zlib.error, EOFError, ValueError, msgspec.MsgspecError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"is no whole backup: {error}", where=str(file), remedy="Take another:  pilot host backup FILE"
        ) from None


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Files and folders alone, below ``target`` alone."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or name.parts[0] not in {*_KEPT, _ABOUT}:
        raise ValueError(f"{member.name!r} does not belong into one")
    path, content = target / name, archive.extractfile(member) if member.isfile() else None
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            shutil.copyfileobj(content, out)
    else:
        raise ValueError(f"{member.name!r} is neither a file nor a folder")
    path.chmod(member.mode & 0o755)


def _check(about: About, file: Path, staged: Path) -> None:
    if about.format != _FORMAT or about.schema > SCHEMA_VERSION:
        raise UserError(
            f"was written by Pilotlight {about.pilot}, which is newer than this one",
            where=str(file),
            remedy="Restore it with that release or a newer one.",
        )
    for database in filter(is_database, staged.rglob("*")):
        with closing(sqlite3.connect(database)) as opened:
            if (told := opened.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                what = f"{database.relative_to(staged)} is damaged: {told}"
                raise UserError(what, where=str(file), remedy="Restore another backup; nothing was changed.")
    (staged / _ABOUT).unlink()


def _bring_key(about: About, staged: Path, data: Path, key: Path | None) -> None:
    """The key beside what it opens. Raises UserError when it is another one."""
    found = key or data / KEY_FILE
    if not found.is_file():
        if key is not None:
            raise UserError("is not there", where=str(key), remedy="Name the key that the host had:  --key FILE")
        return
    if about.key is not None and about.secrets and not hmac.compare_digest(_mark(found.read_bytes()), about.key):
        remedy = "--key FILE   with the secrets.key of the host that was backed up"
        raise UserError("the backup's secrets were sealed with another key", where=str(found), remedy=remedy)
    if key is not None:
        with os.fdopen(os.open(staged / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(key.read_bytes())


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError("a host serves from it", where=str(data), remedy="Stop it first.") from None
    finally:
        os.close(lock)


__all__ = ["KEY_FILE", "About", "backup", "restore"]
