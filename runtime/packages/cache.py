"""Sets of packages in the user's cache, for ``pilot dev`` and ``pilot deploy``.

    packages/pins/DIGEST.txt    what a declaration came to: offline, and the same on a host, until it is changed
    packages/sets/DIGEST/       such a set, installed; DIGEST.lock beside it: see ``locks``

Nothing of it is shared with this interpreter's own packages. A set that nobody has begun with for a month is removed
when another is installed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from runtime.config import Config
from runtime.errors import ConfigError
from runtime.packages.declared import Declared, declared, python_tag
from runtime.packages.failing import unmet
from runtime.packages.locks import Lock
from runtime.packages.pins import for_this_python, pin
from runtime.packages.sets import ASIDE, NotInstalled, digest, install
from runtime.places import cache_folder, no_home

UNUSED_DAYS = 30
_DAY_S = 86_400.0
_INSTALL_TIMEOUT_S = 3_600.0  # seconds: torch, on a slow line
Told = Callable[[str], None]


async def pinned(config: Config, told: Told = lambda _: None) -> list[str]:
    """What the worker depends on, ``name==version`` each, as it was first resolved here. Raises UserError."""
    named = declared(config.root, config.main)
    return [] if named is None else await _pins(named, told)


class PackageCache:
    """The sets that one ``pilot dev`` uses: they are not removed while it runs."""

    def __init__(self) -> None:
        self._locks: dict[Path, Lock] = {}
        self._work: dict[str, asyncio.Task[Path | None]] = {}

    async def folder(self, named: Declared, told: Told) -> Path | None:
        """Where the set is, installed if it was not. None: it comes to nothing. ``told`` hears how far it is. Raises
        UserError. Whoever leaves lets it go on: the next one finds more of it there."""
        key = named.digest
        if key not in self._work:
            self._work[key] = asyncio.create_task(self._folder(named, told))
            self._work[key].add_done_callback(lambda task: self._over(key, task))
        return await asyncio.shield(self._work[key])

    async def aclose(self) -> None:
        for task in list(self._work.values()):
            task.cancel()
            await asyncio.wait([task])
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _over(self, key: str, task: asyncio.Task[Path | None]) -> None:
        self._work.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits has it, unless they have left

    async def _folder(self, named: Declared, told: Told) -> Path | None:
        pins = await _pins(named, told)
        if not pins:
            return None
        place = _below("sets") / digest(pins, python_tag())
        if place not in self._locks:
            await self._hold(place, named, pins, told)
        return place

    async def _hold(self, place: Path, named: Declared, pins: list[str], told: Told) -> None:
        lock = Lock(place.with_suffix(".lock"))
        try:
            while not (lock.share() and place.is_dir()):
                if not lock.claim():
                    told("another pilot dev installs them")
                    await lock.claimed()
                if not place.is_dir():
                    await _install(place, named, pins, told)
            lock.used()
        except BaseException:
            lock.close()
            raise
        self._locks[place] = lock


async def _pins(named: Declared, told: Told) -> list[str]:
    named, warning = for_this_python(named)
    if warning:
        told(f"warning: {warning}")
    kept = _below("pins") / f"{named.digest}.txt"
    try:
        pins = kept.read_text("utf-8").splitlines()
        os.utime(kept)
    except FileNotFoundError:
        told("choosing versions")
        pins = await pin(named, told)
        new = kept.with_name(f"{ASIDE}{os.getpid()}")
        new.write_text("\n".join(pins), "utf-8")
        new.replace(kept)
    return pins


async def _install(place: Path, named: Declared, pins: list[str], told: Told) -> None:
    cwd = named.file.parent
    told(f"installing {len(pins)}")
    try:
        await install(pins, place, (), cwd=cwd, timeout=_INSTALL_TIMEOUT_S, told=told)
    except NotInstalled as error:
        raise unmet(named, str(error)) from None
    except OSError as error:
        remedy = "PILOT_CACHE_DIR=/path/with/space chooses another place."
        raise ConfigError(
            f"the packages cannot be kept: {error.strerror}", where=str(place.parent), remedy=remedy
        ) from None
    await asyncio.to_thread(prune, place.parent.parent)


def prune(root: Path, days: float = UNUSED_DAYS) -> None:
    """Remove what nobody has begun with for so long and nobody uses, and what was left half-made."""
    before = time.time() - days * _DAY_S
    for file in (root / "sets").glob("*.lock"):
        if file.stat().st_mtime < before and file.with_suffix("").is_dir():
            with Lock(file) as lock:
                if lock.claim():
                    shutil.rmtree(file.with_suffix(""), ignore_errors=True)
    for left in [*(root / "pins").iterdir(), *(root / "sets").glob(f"{ASIDE}*")]:
        if left.stat().st_mtime < before:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _below(name: str) -> Path:
    """Raises UserError: there is no home folder."""
    if (cache := cache_folder()) is None:
        raise no_home("the cache of packages", "PILOT_CACHE_DIR=/path chooses another place.")
    place = cache / "packages" / name
    place.mkdir(parents=True, exist_ok=True)
    return place


__all__ = ["UNUSED_DAYS", "PackageCache", "pinned", "prune"]
