"""What has changed on the disk that matters to a worker: its files and its configuration, as they are saved.

Theory of operation
-------------------
The kernel watches folders, not names: one that is moved away is watched where it went, and what takes its place is not.
So each folder is known by its identity, a look at all of them is taken every second, and whatever is new is watched
before its files are listed: between the two nothing is missed. A file that is a link is watched where it leads, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.config import Config, owned_folders
from runtime.config import watched as configured
from runtime.files import Identity, Survey, identity, steps
from runtime.packages import declared
from runtime.supervisor.reload.inotify import Changes, Inotify

# Editors' and programs' own files: a worker that writes a log or a database must not reload itself for ever.
_NOT_THEIRS = (".", "#", "pytest-cache-files-")  # the last is .pytest_cache, until pytest has filled it
IGNORED_SUFFIXES = {
    ".pyc", ".swp", ".swx", ".tmp", ".log", ".lock", ".db", ".db-wal", ".db-shm", ".db-journal",
    ".sqlite", ".sqlite3", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal",
}  # fmt: skip

_SURVEY_INTERVAL_S = 1.0  # seconds between looks at which folders there are
_EMPTY_FILE_TIMEOUT_S = 1.0  # seconds that a script may be empty before it is believed to be
_POLL_INTERVAL_S = 0.01
_LINUX = sys.platform == "linux"
# Inotify hears nothing of what is saved from outside of a virtual machine: there, watchfiles looks again and again.
_TOLD = _LINUX and "microsoft" not in os.uname().release and not os.environ.get("WATCHFILES_FORCE_POLLING")


async def changes(config: Callable[[], Config]) -> AsyncIterator[set[Path]]:
    """Sets of changed files of the worker's tree and its configuration, a few milliseconds after they were written."""
    watching = _Watching()
    try:
        while True:
            files = await watching.look(config())
            files |= await watching.batch(0 if files else _SURVEY_INTERVAL_S)
            relevant = {path for path in files if watching.matters(path, config())}
            if relevant:
                yield relevant
    finally:
        await watching.aclose()


def watched(config: Config) -> list[Path]:
    """Files beside the worker's code that shape it, whether they exist yet or not."""
    return [*configured(config), *declared.files(config.root, config.main)]


class _Watching:
    """Watches folders, and moves to others without missing what is written meanwhile."""

    def __init__(self) -> None:
        self._survey: Survey | None = None
        self._places: dict[Path, Identity | None] = {}
        self._links: dict[Path, Path] = {}  # where a link leads → the link
        self._seen: asyncio.Queue[Changes] = asyncio.Queue()
        self._stale = True
        self._follower: Inotify | _Watchfiles | None = None

    async def look(self, config: Config) -> set[Path]:
        """Watch what there is now. Returns the files in folders that are new: no event will tell of them."""
        if not self._stale and not await asyncio.to_thread(self._has_moved, config):
            return set()
        first, new, self._stale = self._survey is None, set[Path](), False
        fresh = self._read(config) if first else await asyncio.to_thread(self._read, config)
        while fresh or self._ended():
            new |= fresh
            await self._follow()
            fresh = await asyncio.to_thread(self._read, config)
        files = [*(self._survey.files if self._survey else ()), *filter(Path.is_file, watched(config))]
        return set() if first else {file for file in files if file.parent in new}

    async def batch(self, within: float) -> set[Path]:
        """Everything that has been seen; nothing in so many seconds, for folders may have moved unseen."""
        found: Changes = set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within or None):
                found |= await self._seen.get() if within else set()
        while not self._seen.empty():
            found |= self._seen.get_nowait()
        for edited, path in found:
            if not edited or path.name == ".gitignore":
                self._stale = True
                self._places.pop(path, None)
        return {self._links.get(path, path) for _, path in found}

    def matters(self, path: Path, config: Config) -> bool:
        if path in watched(config):
            return True
        if config.main is None or self._survey is None or path.parent not in self._survey.folders or path.is_dir():
            return False
        if path.suffix in IGNORED_SUFFIXES or path.name.endswith("~") or path.name.startswith(_NOT_THEIRS):
            return False
        if _is_our_output(path):
            return False
        return path.suffix == ".py" or not self._survey.leaves_out(path)  # code that runs here, sent or not

    async def aclose(self) -> None:
        if self._follower is not None:
            self._follower.close()

    def _has_moved(self, config: Config) -> bool:
        known = self._survey is not None and self._survey.base == config.folder and not self._ended()
        return not known or any(identity(path) != found for path, found in self._places.items())

    def _ended(self) -> bool:
        return self._follower is None or self._follower.ended

    def _read(self, config: Config) -> set[Path]:
        """Survey. Returns the folders that are not watched yet."""
        self._survey = survey = Survey(config.folder, without=owned_folders(config))
        self._links = {**survey.targets, **{at: path for path in watched(config) for at in steps(path)}}
        beside = {path.parent for path in (*watched(config), *self._links)}
        old, self._places = self._places, {**{path: identity(path) for path in beside}, **survey.folders}
        return {path for path, found in self._places.items() if found is not None and found != old.get(path)}

    async def _follow(self) -> None:
        old, self._follower = self._follower, None
        folders = [path for path, found in self._places.items() if found is not None]
        with suppress(FileNotFoundError):  # it has gone since: another look tells
            self._follower = (Inotify if _TOLD else _Watchfiles)(folders, self._seen.put_nowait)
            await asyncio.sleep(0)  # its first step begins to watch
        if old is not None:
            old.close()


class _Watchfiles:
    """The same as ``Inotify``, elsewhere; FSEvents has whole trees only, by their names."""

    def __init__(self, folders: Sequence[Path], put: Callable[[Changes], None]) -> None:
        self._paths, self._put = [path for path in folders if _LINUX or not set(path.parents) & set(folders)], put
        self._task = asyncio.create_task(self._follow())

    @property
    def ended(self) -> bool:
        return self._task.done()

    def close(self) -> None:
        self._task.cancel()

    async def _follow(self) -> None:
        from watchfiles import Change, awatch

        with suppress(FileNotFoundError):  # it has gone since; the next look tells
            async for batch in awatch(
                *self._paths,
                watch_filter=None,
                debounce=50,
                step=5,
                recursive=not _LINUX,
                ignore_permission_denied=True,
            ):
                self._put({(change is Change.modified, Path(path)) for change, path in batch})


async def written(files: Sequence[Path]) -> None:
    """Wait until none of them is empty. Most editors empty a file and then write it: what is seen in between is not a
    version. One that stays empty is meant."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_EMPTY_FILE_TIMEOUT_S):
            while any(map(_is_empty, files)):
                await asyncio.sleep(_POLL_INTERVAL_S)


def stamps(files: Sequence[Path]) -> list[tuple[int, int, int] | None]:
    """What changes with each save of a file: its (inode, size in bytes, time of change in ns); None: there is none."""
    return [_stamp(file) for file in files]


def _is_our_output(path: Path) -> bool:
    """``pilot dev > said.txt``: to say that it has changed would change it."""
    with suppress(OSError):
        found = path.stat()
        return any(os.path.samestat(found, os.fstat(descriptor)) for descriptor in (1, 2))
    return False


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_empty(file: Path) -> bool:
    stamp = _stamp(file) if file.suffix == ".py" and file.name != "__init__.py" else None
    return stamp is not None and not stamp[1]


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


__all__ = ["IGNORED_SUFFIXES", "cancelled", "changes", "stamps", "watched", "written"]
