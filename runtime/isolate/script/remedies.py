"""What to do about errors of Python's own that a worker written for Cloudflare meets here."""

from __future__ import annotations

import platform
import re
import sys
from typing import Final

_PLAIN: Final = (list, dict, str, int, float, bool, bytes, type(None))
_CONVERSIONS: Final = {"to_py", "to_bytes", "to_string", "to_memoryview", "destroy"}  # of Pyodide's proxies
_NEWER: Final = (  # since which Python, what it says of it before, the line
    ((3, 12), r"f-string|unterminated string|invalid syntax", r"\bf['\"]"),
    ((3, 12), r"invalid syntax", r"^\s*type\s+\w+\s*(\[.*\])?\s*="),
    ((3, 12), r"expected|invalid syntax", r"^\s*(async\s+)?(def|class)\s+\w+\s*\["),
    ((3, 14), r"invalid syntax", r"\bt['\"]"),
    ((3, 14), r"multiple exception types", r"^\s*except\b"),
)


def remedy_of(error: BaseException) -> str:
    """What to type; empty where nothing is known."""
    if isinstance(error, SyntaxError):
        return _newer_python(error)
    if isinstance(error, AttributeError) and error.name in _CONVERSIONS and isinstance(error.obj, _PLAIN):
        kind = type(error.obj).__name__
        return f"It is Python's own {kind} already, not a proxy of JavaScript's: leave .{error.name}() out."
    return ""


def _newer_python(error: SyntaxError) -> str:
    since = next((since for since, said, line in _NEWER if _is_of(error, since, said, line)), None)
    if since is None:
        return ""
    needed = ".".join(map(str, since))
    return (
        f"Python {platform.python_version()} runs this worker, and this may need {needed}.\n"
        f"Install Pilotlight for a newer one:  make dev PYTHON=python{needed} VENV=.venv-{needed}"
    )


def _is_of(error: SyntaxError, since: tuple[int, int], said: str, line: str) -> bool:
    return sys.version_info < since and bool(re.search(said, error.msg) and re.search(line, error.text or ""))


__all__ = ["remedy_of"]
