"""A set of pins, installed into a folder: written aside and moved into place whole, so one that has its name is
complete."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from runtime.errors import UserError
from runtime.packages.tool import run

ASIDE = ".new-"  # a folder that begins so was left by an installation that was cut
_INSTALL_TIMEOUT_S = 240.0  # seconds for one set, on a host
_FLAGS = ("--no-deps", "--compile-bytecode", "--no-progress", "--no-python-downloads")


class NotInstalled(UserError):
    """uv's words for why a set cannot be installed."""


async def install(
    pins: Sequence[str],
    place: Path,
    flags: Sequence[str],
    *,
    cwd: Path | None = None,
    timeout: float = _INSTALL_TIMEOUT_S,
    told: Callable[[str], None] | None = None,
) -> None:
    """``flags``: of ``uv pip install``; ``cwd``: where uv looks for its settings and relative paths. Raises
    NotInstalled, UserError without uv, OSError (disk full)."""
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=place.parent))
    try:
        words = [
            "pip",
            "install",
            "--target",
            str(aside / "set"),
            "--python",
            sys.executable,
            *_FLAGS,
            *flags,
            "-r",
            "-",
        ]
        (aside / "set").mkdir()
        done = await run(words, cwd or aside, timeout, "\n".join(pins) + "\n", told)
        if done.code:
            raise NotInstalled(done.said)
        await asyncio.to_thread(os.sync)  # a name that says whole must not outlive the machine with empty files
        (aside / "set").rename(place)
    except TimeoutError:
        raise NotInstalled(f"installing the dependencies took more than {timeout:g} s") from None
    except OSError:
        if not place.is_dir():  # else another one was quicker
            raise
    finally:
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)


def digest(pins: Iterable[str], tag: str) -> str:
    """The same set for another Python, or another kind of machine, is another one."""
    return hashlib.sha256("\n".join([tag, *sorted(pins)]).encode()).hexdigest()


__all__ = ["ASIDE", "NotInstalled", "digest", "install"]
