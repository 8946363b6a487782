"""Where uv is: it pins and installs what a worker depends on."""

from __future__ import annotations

import shutil
import sys

from runtime.errors import UserError


def command() -> str:
    """The path of uv's program. Raises UserError."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv"):
            return found
    raise UserError(
        "is not here, and a worker with dependencies needs it", where="uv", remedy=f"{sys.executable} -m pip install uv"
    )


__all__ = ["command"]
