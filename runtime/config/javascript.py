"""JavaScript modules beside a Python worker, which Wrangler sends along and nothing here can run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = (".js", ".mjs", ".cjs", ".ts")
_MODULE = re.compile(r"^\s*(?:export\s|module\.exports\b|exports\.\w)", re.MULTILINE)
_MAX_CHARS = 200_000  # of a file that are looked into


def modules(main: Path | None) -> Iterator[Path]:
    """Those in the entry's own folder. A page's script, which exports nothing, is none."""
    if main is None:
        return
    for path in sorted(main.parent.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file() and _MODULE.search(_text(path)):
            yield path


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_CHARS)
    except OSError:
        return ""


__all__ = ["modules"]
