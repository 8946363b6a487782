"""What workers depend on: each distinct set of pins is installed once, into a folder named by its hash.

Written aside and moved into place whole, like a bundle: a folder that has its name is complete. Wheels alone: to build
a package from its source is to run it, and nothing of a worker's runs here outside the sandbox. A set is a cache: one
that is missing is installed again when a version that needs it is opened.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.errors import RequestError
from runtime.files import VENDORED
from runtime.packages.sets import ASIDE, NotInstalled, digest, install

_MAX_PINS = 1_000  # pins of one worker
_PIN = re.compile(r"[A-Za-z0-9][\w.-]{0,100}(\[[\w.,-]{1,200}\])?==[\w.!+]{1,100}( *;[\w .<>=!'\"()]{1,400})?")
_RECORD = re.compile(rf"{VENDORED}/([^/-]+)-([^/-]+)\.dist-info/RECORD")


def checked(pins: object) -> list[str]:
    """``["name==version", ...]`` as an upload has it, sorted. Raises RequestError: no options, no addresses."""
    if not isinstance(pins, list) or len(pins) > _MAX_PINS:
        raise RequestError(400, f"the requirements must be a list of at most {_MAX_PINS}")
    for pin in pins:
        if not isinstance(pin, str) or not _PIN.fullmatch(pin):
            raise RequestError(400, f"{str(pin)[:200]!r} is not a pinned requirement; write name==version")
    return sorted(set(pins))


def native(files: Mapping[str, bytes]) -> list[str]:
    """Pins of the vendored packages whose compiled parts are Pyodide's: this host needs its own."""
    found = {name: match for name in files if (match := _RECORD.fullmatch(name))}
    return sorted(f"{match[1]}=={match[2]}" for name, match in found.items() if _is_compiled(files[name]))


def _is_compiled(record: bytes) -> bool:
    paths = (line.partition(b",")[0].strip(b'"') for line in record.splitlines())
    return any(path.endswith((b".so", b".wasm")) for path in paths)


class Packages:
    """The sets of one host, below ``root``. ``wheelhouse``: a folder of wheels to take instead of an index."""

    def __init__(self, root: Path, wheelhouse: Path | None = None, *, sweep: bool = True) -> None:
        self._root, self._wheelhouse = root, wheelhouse
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{ASIDE}*") if sweep else ():  # of an installation that was cut by the host's end
            shutil.rmtree(left, ignore_errors=True)

    async def folders(self, pins: Sequence[str]) -> tuple[Path, ...]:
        """Where the set is, installed if it was not. Raises RequestError with uv's words, OSError (disk full)."""
        if not pins:
            return ()
        place = self._root / digest(pins, sys.implementation.cache_tag or "")
        async with self._turns[place.name]:
            if not place.is_dir():
                await self._install(place, pins)
        return (place,)

    async def _install(self, place: Path, pins: Sequence[str]) -> None:
        wheels = ["--no-index", "--find-links", str(self._wheelhouse.absolute())] if self._wheelhouse else []
        flags = ["--no-build", "--no-config", "--cache-dir", str(self._root / ".cache"), *wheels]
        try:
            await install(pins, place, flags)
        except NotInstalled as error:
            raise RequestError(400, f"the dependencies cannot be installed\n{error}") from None


__all__ = ["Packages", "checked", "native"]
