"""What a worker in a folder depends on, installed before its code is opened; a person is told how far that is."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from runtime.config import Config
from runtime.packages.cache import PackageCache
from runtime.packages.declared import Declared, declared
from runtime.supervisor.observe.base import Observer

_FAILURES = ("error", "hint", "cause", "×", "╰")  # how uv begins what is said once it has failed


class Packages:
    """``install``: False leaves a worker with what this interpreter has."""

    def __init__(self, observer: Observer, *, install: bool) -> None:
        self._observer, self._installs = observer, install
        self._cache = PackageCache()
        self._warned: set[str] = set()

    async def __call__(self, config: Config) -> tuple[Path, ...]:
        """Folders of the packages. Raises UserError: then those of the version before stay."""
        named = declared(config.root, config.main) if self._installs else None
        if named is None:
            return ()
        began, heard, key = time.monotonic(), list[str](), f"packages of {config.name}"
        done = ""
        try:
            folder = await self._cache.folder(named, partial(self._told, key, named, heard))
            if folder is not None and heard:
                done = f"{_count(folder)} in {time.monotonic() - began:.1f} s, as {named.file.name} has it"
        finally:
            self._observer.progress_done(key, done)
        return () if folder is None else (folder,)

    async def aclose(self) -> None:
        await self._cache.aclose()

    def _told(self, key: str, named: Declared, heard: list[str], line: str) -> None:
        """What is being done, and uv's lines: ``Downloading numpy (16.0MiB)``, ``Resolved 11 packages in 120ms``."""
        if line.startswith("warning:") and line not in self._warned:
            self._warned.add(line)
            self._observer.warn(f"{named.file.name}: {line.removeprefix('warning:').strip()}")
        elif line and not line.startswith(("warning:", *_FAILURES)):
            heard.append(line)
            self._observer.progress(key, named.file.name, None, line)


def _count(folder: Path) -> str:
    count = sum(1 for path in folder.iterdir() if path.name.endswith(".dist-info"))
    return f"{count} package{'s' if count != 1 else ''} installed"


__all__ = ["Packages"]
