"""Where uv is: it pins a worker's dependencies where it is deployed from, and installs them on the host."""

from __future__ import annotations

import shutil

from runtime.errors import UserError
from runtime.extras import install


def command() -> str:
    """The path of uv's program. Raises UserError."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv"):
            return found
    raise UserError("a worker with dependencies needs uv", remedy=install("host"))


__all__ = ["command"]
