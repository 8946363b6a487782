"""What has changed on the disk that matters to a worker: its files and its configuration, as they are saved."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.config import Config, watched

IGNORED = {
    ".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".pilot", ".wrangler", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".idea", ".vscode", "python_modules", "dist", "build",
}  # fmt: skip

# Editors' and programs' own files: a worker that writes a log or a database must not reload itself for ever.
PASSING = {
    ".pyc", ".swp", ".swx", ".tmp", ".log", ".lock", ".db", ".db-wal", ".db-shm", ".db-journal",
    ".sqlite", ".sqlite3", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal",
}  # fmt: skip


_REVIEW = 1.0       # seconds between looks at which folders there are
_EMPTY = 1.0        # seconds that a script may be empty before it is believed to be
_LOOK = 0.01


async def changes(config: Callable[[], Config]) -> AsyncIterator[set[Path]]:
    """Sets of changed files of the worker's tree and its configuration, about 10 ms after they were written."""
    seen: asyncio.Queue[set[Path]] = asyncio.Queue()
    watching = _Watching(seen)
    try:
        while True:
            files = await watching.move(*_places(config()))
            files |= await _next_batch(seen)
            relevant = {path for path in files if _matters(path, config())}
            if relevant:
                yield relevant
    finally:
        await watching.aclose()


class _Watching:
    """Watches folders, and moves to others without missing what is written meanwhile."""

    def __init__(self, seen: asyncio.Queue[set[Path]]) -> None:
        self._seen = seen
        self._places: tuple[list[Path], list[Path]] = ([], [])
        self._followers: list[asyncio.Task[None]] = []

    async def move(self, shallow: list[Path], deep: list[Path]) -> set[Path]:
        """Watch these. Returns what is in folders that were not watched before: no event will tell of it."""
        if (shallow, deep) == self._places and not any(follower.done() for follower in self._followers):
            return set()
        first, known = not self._followers, set(self._places[1])
        old, self._followers = self._followers, [
            asyncio.create_task(self._follow(paths, recursive))
            for paths, recursive in ((shallow, False), (deep, True)) if paths
        ]  # fmt: skip
        self._places = (shallow, deep)
        await asyncio.sleep(0)  # each follower's first step begins to watch
        await _all_cancelled(old)
        return set() if first else {file for folder in set(deep) - known for file in _below(folder)}

    async def aclose(self) -> None:
        await _all_cancelled(self._followers)

    async def _follow(self, paths: list[Path], recursive: bool) -> None:
        from watchfiles import Change, awatch

        async for batch in awatch(
            *paths, watch_filter=None, debounce=50, step=5, recursive=recursive, ignore_permission_denied=True
        ):
            files = {Path(path) for _, path in batch}
            # A folder that appears, by a move or just before it was watched, brings files without events of their own.
            added = {Path(path) for change, path in batch if change is Change.added}
            self._seen.put_nowait(files.union(*(_below(path) for path in added if path.is_dir())))


async def _next_batch(seen: asyncio.Queue[set[Path]]) -> set[Path]:
    """Everything that has been seen; after a second nothing, for the folders to watch may have changed unseen."""
    files: set[Path] = set()
    try:
        async with asyncio.timeout(_REVIEW):
            files |= await seen.get()
    except TimeoutError:
        pass
    while not seen.empty():
        files |= seen.get_nowait()
    return files


def _places(config: Config) -> tuple[list[Path], list[Path]]:
    """(folders to watch alone, folders to watch with all below them): a virtual environment is not watched."""
    base = config.main.parent
    shallow = [path for path in sorted({config.root, base}) if path.is_dir()]
    entries = base.iterdir() if base.is_dir() else ()
    return shallow, sorted(entry for entry in entries if entry.is_dir() and entry.name not in IGNORED)


async def written(files: Sequence[Path]) -> None:
    """Wait until none of them is empty. Most editors empty a file and then write it: what is seen in between is not a
    version. One that stays empty is meant."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_EMPTY):
            while any(map(_is_empty, files)):
                await asyncio.sleep(_LOOK)


def stamps(files: Sequence[Path]) -> list[tuple[int, int, int] | None]:
    """What changes with each save of a file: its (inode, size in bytes, time of change in ns); None: there is none."""
    return [_stamp(file) for file in files]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_empty(file: Path) -> bool:
    stamp = _stamp(file) if file.suffix == ".py" and file.name != "__init__.py" else None
    return stamp is not None and not stamp[1]


def _below(folder: Path) -> set[Path]:
    """The files in ``folder`` that may matter; links are not followed."""
    found = os.walk(folder)
    files: set[Path] = set()
    for path, folders, names in found:
        folders[:] = [name for name in folders if name not in IGNORED]
        files |= {Path(path, name) for name in names}
    return files


def _matters(path: Path, config: Config) -> bool:
    if path in watched(config):
        return True
    base = config.main.parent
    if not path.is_relative_to(base) or path.suffix in PASSING or path.is_dir():
        return False
    if path.name.endswith("~") or path.name.startswith((".#", "#")):
        return False
    return not any(part in IGNORED for part in path.relative_to(base).parts)


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _all_cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        await cancelled(task)


__all__ = ["IGNORED", "PASSING", "cancelled", "changes", "stamps", "written"]
