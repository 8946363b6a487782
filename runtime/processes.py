"""Ending what was started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def kill_group(pid: int) -> None:
    """``pid``, which leads a process group, and whatever it has started. Nothing happens where they have gone.

    Call it before ``pid`` is waited for: until then its number is its own.
    """
    for kill in (os.killpg, os.kill):  # a process that has just been forked may not lead its group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


__all__ = ["kill_group"]
