"""Names of resources, and of the files and folders that stand for them."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def safe_name(name: str) -> str:
    """A file's name for ``name``, another one for each, also where the disk does not tell A from a.

    What is plain stays as it is; of anything else a readable part, a dot, and a hash.
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"{readable}.{digest}"


__all__ = ["safe_name"]
