"""What workers depend on: each distinct set of pins is installed once, into a folder named by its hash.

Written aside and moved into place whole, like a bundle: a folder that has its name is complete. Wheels alone: to build
a package from its source is to run it, and nothing of a worker's runs here outside the sandbox. A set is a cache: one
that is missing is installed again when a version that needs it is opened.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runtime import uv
from runtime.errors import RequestError
from runtime.files import VENDORED

_MAX_PINS = 1_000  # pins of one worker
_INSTALL_TIMEOUT_S = 240.0  # seconds for one set
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

    def __init__(self, root: Path, wheelhouse: Path | None = None) -> None:
        self._root, self._wheelhouse = root, wheelhouse
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(".new-*"):  # of an installation that was cut by the host's end
            shutil.rmtree(left, ignore_errors=True)

    async def folders(self, pins: Sequence[str]) -> tuple[Path, ...]:
        """Where the set is, installed if it was not. Raises RequestError with uv's words, OSError (disk full)."""
        if not pins:
            return ()
        place = self._root / _digest(pins)
        async with self._turns[place.name]:
            if not place.is_dir():
                await self._install(place, pins)
        return (place,)

    async def _install(self, place: Path, pins: Sequence[str]) -> None:
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        (aside / "set").mkdir()
        try:
            (aside / "requirements.txt").write_text("\n".join(pins) + "\n")
            await self._run(aside)
            await asyncio.to_thread(os.sync)  # a name that says whole must not outlive the machine with empty files
            (aside / "set").rename(place)
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    async def _run(self, aside: Path) -> None:
        """uv, in the folder ``aside``. What it leaves is in ``aside/set``."""
        wheels = ["--no-index", "--find-links", str(self._wheelhouse.absolute())] if self._wheelhouse else []
        process = await asyncio.create_subprocess_exec(
            uv.command(), "pip", "install", "--target", "set", "--python", sys.executable, "--no-deps", "--no-build",
            "--compile-bytecode", "--no-config", "--no-progress", "--cache-dir", str(self._root / ".cache"), *wheels,
            "-r", "requirements.txt", cwd=aside, env={**os.environ, "NO_COLOR": "1"}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_INSTALL_TIMEOUT_S):
                _, output = await process.communicate()
        except TimeoutError:
            raise RequestError(400, f"installing the dependencies took more than {_INSTALL_TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise RequestError(
                400, f"the dependencies cannot be installed\n{output.decode('utf-8', 'replace').strip()}"
            )


def _digest(pins: Iterable[str]) -> str:
    """The same set under another Python is another one."""
    return hashlib.sha256("\n".join([sys.implementation.cache_tag or "", *sorted(pins)]).encode()).hexdigest()


__all__ = ["Packages", "checked", "native"]
