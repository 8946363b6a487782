"""Who uses a folder of the cache, and who is about to make or remove it: the kernel's lock on a file beside it.

Shared: in use, for as long as the process lives. Exclusive: it is being made or removed. The file itself stays, and its
time of change says when the folder was last begun with.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Self

_POLL_INTERVAL_S = 0.05


class Lock:
    """``with Lock(file) as lock``; nothing is locked yet."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def used(self) -> None:
        os.utime(self._descriptor)

    def share(self) -> bool:
        return self._take(fcntl.LOCK_SH)

    def claim(self) -> bool:
        """Whether it is ours alone now."""
        return self._take(fcntl.LOCK_EX)

    async def claimed(self) -> None:
        """Until it is ours alone: whoever has it installs, and ends, or dies and has it no more."""
        while not self.claim():
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _take(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a disk without locks: whoever comes second finds the folder there
            return True
        return True


__all__ = ["Lock"]
