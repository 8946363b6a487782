"""The temporary folder keeps no modes, owners and times, as some file systems do not: setting them does nothing there.

The filter refuses the system calls wherever the file is, for it sees no paths. ``shutil.copy``, ``copytree`` and
``dbm`` want them done for files that they have just made, and would fail for nothing. Elsewhere the error stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ParamSpec

_NAMES = ("chmod", "lchmod", "chown", "lchown", "utime")
P = ParamSpec("P")


def forgive(temp: str) -> None:
    """From here on, in this process; ``temp``: the folder's absolute path."""
    inside = os.path.realpath(temp) + os.sep
    for name in _NAMES:
        if (original := getattr(os, name, None)) is not None:
            patched = _forgiving(original, inside)
            setattr(os, name, patched)
            if original in os.supports_follow_symlinks:
                os.supports_follow_symlinks.add(patched)


def _forgiving(original: Callable[P, None], inside: str) -> Callable[P, None]:
    def change(*args: P.args, **named: P.kwargs) -> None:
        try:
            original(*args, **named)
        except PermissionError:
            path = args[0] if args else named.get("path")
            if not isinstance(path, str | bytes | os.PathLike):
                raise  # a descriptor: nobody knows of which file
            if not os.path.realpath(os.fsdecode(path)).startswith(inside):
                raise
            os.lstat(path)  # which is to be there

    return change


__all__ = ["forgive"]
