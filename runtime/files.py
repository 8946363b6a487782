"""What below a worker's folder is the worker's: one rule for what reloads it and for what is sent to a host.

Left out is what shows by itself that it is not (hidden, a cache, ``node_modules``, an environment) and what
``.gitignore`` names. A name alone says nothing: ``build`` may be a package of the worker's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

MAX_FILES = 20_000  # files; a link may lead to a whole disk
VENDORED = "python_modules"  # where pywrangler puts a worker's packages: sent whatever git is told of it
SYNCED = ".synced"  # and what it writes there last
_CACHE_FOLDERS = {"node_modules", "__pycache__"}
_ENVIRONMENT_MARKERS = ("pyvenv.cfg", "conda-meta")
_MAX_LINKS = 40  # links that one path may lead through, as Linux has it

Identity = tuple[int, int]  # device and inode: another folder of the same name has another one


class Survey:
    """What is there: links are followed, unless they lead back to where they are."""

    def __init__(self, base: Path, *, vendored: bool = False, without: Collection[Path] = ()) -> None:
        """``without``: folders that are left out."""
        self.base = base
        self.folders: dict[Path, Identity] = {}
        self.files: list[Path] = []
        self.ignored: list[Path] = []  # files and folders that .gitignore names
        self.targets: dict[Path, Path] = {}  # where a file that is a link leads → the link
        self._vendored, self._without, self._ignores = vendored, without, _Ignores(base)
        self._look()

    def leaves_out(self, path: Path, end: str = "") -> bool:
        """Of a path in one of the ``folders``; ``end``: a slash for a folder."""
        return path.name.startswith(".") or self._ignores(path, end)

    def _look(self) -> None:
        queue = deque([(self.base, frozenset[Identity]())])
        while queue and len(self.files) <= MAX_FILES:
            folder, above = queue.popleft()
            here = identity(folder)
            if here is None or here in above:
                continue
            self.folders[folder] = here
            queue += [(inside, above | {here}) for inside in self._folders_in(folder)]

    def _folders_in(self, folder: Path) -> Iterator[Path]:
        for entry in _entries(folder):
            path = folder / entry.name
            if entry.is_dir():
                if self._has_folder(path, entry.is_symlink()):
                    yield path
            elif not entry.name.startswith("."):
                self._take(path, entry)

    def _has_folder(self, path: Path, link: bool) -> bool:
        if path.name == VENDORED:
            return self._vendored
        if (
            path in self._without
            or path.name.startswith(".")
            or path.name in _CACHE_FOLDERS
            or any((path / name).exists() for name in _ENVIRONMENT_MARKERS)
        ):
            return False
        if not self._ignores(path, "" if link else "/"):
            return True
        self.ignored.append(path)
        return False

    def _take(self, path: Path, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            self.targets.update(dict.fromkeys(steps(path), path))
        if not entry.is_file():
            return
        (self.ignored if self._ignores(path) else self.files).append(path)


class _Ignores:
    """What ``.gitignore`` files say, as git reads them: the nearest one that has a pattern for a path decides.

    Nothing that is one person's own (``.git/info/exclude``, global excludes) counts: the same folder is the same worker
    for everybody. What is in the repository all the same is kept.
    """

    def __init__(self, base: Path) -> None:
        self._root = next((folder for folder in (base, *base.parents) if (folder / ".git").exists()), base)
        self._specs: dict[Path, Any] = {}

    def __call__(self, path: Path, end: str = "") -> bool:
        for folder in path.parents:
            spec = self._spec(folder)
            verdict = spec and spec.check_file(path.relative_to(folder).as_posix() + end).include
            if verdict is not None:
                return bool(verdict) and VENDORED not in path.parts and path not in self._tracked
            if folder == self._root:
                break
        return False

    def _spec(self, folder: Path) -> Any:
        """None where there is no such file."""
        if folder not in self._specs:
            lines = _lines(folder / ".gitignore")
            self._specs[folder] = _spec(lines) if lines else None
        return self._specs[folder]

    @cached_property
    def _tracked(self) -> set[Path]:
        """Files that git has although they are ignored (``git add -f``), with the folders they are in."""
        import subprocess  # not at an isolate's start

        words = ["git", "ls-files", "-ciz", "--exclude-per-directory=.gitignore"]
        try:
            listed = subprocess.run(words, cwd=self._root, capture_output=True, timeout=10, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return set()
        files = [self._root / os.fsdecode(name) for name in listed.split(b"\0") if name]
        return {path for file in files for path in (file, *file.parents)}


def _spec(lines: list[str]) -> Any:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def identity(path: Path) -> Identity | None:
    """Of what ``path`` leads to; None: there is nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def steps(path: Path) -> Iterator[Path]:
    """Each place that a link leads to, the last one of which is no link."""
    for _ in range(_MAX_LINKS):
        if not path.is_symlink():
            return
        path = path.parent.resolve() / path.readlink()
        path = path.parent.resolve() / path.name
        yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


__all__ = ["MAX_FILES", "SYNCED", "VENDORED", "Identity", "Survey", "identity", "steps"]
