"""What to do about errors of Python's own that a worker written for Cloudflare meets here."""

from __future__ import annotations

import platform
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

_PLAIN: Final = (list, dict, str, int, float, bool, bytes, type(None))
_CONVERSIONS: Final = {"to_py", "to_bytes", "to_string", "to_memoryview", "destroy"}  # of Pyodide's proxies
_OF_BYTES: Final = {*_CONVERSIONS, "byteLength", "slice", "buffer"}  # of an ArrayBuffer's proxy
_DEPENDENCY: Final = """A package must be named in pyproject.toml, beside the configuration:
  [project]
  dependencies = ["NAME"]"""
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
    if isinstance(error, AttributeError):
        return _pythons_own(error)
    return _missing(error.name or "") if isinstance(error, ModuleNotFoundError) else ""


def _missing(name: str) -> str:
    """Of a module that is not there."""
    top = name.partition(".")[0]
    if sys.path and Path(sys.path[0]).name == top:
        return f"Modules are looked for in the folder of main, which is {top}: leave {top}. out."
    if top == "micropip":
        return f"Nothing is installed while a worker runs. {_DEPENDENCY}"
    return _DEPENDENCY


def _pythons_own(error: AttributeError) -> str:
    """What is called on a value of Python's that is of JavaScript there."""
    own = f"It is Python's own {type(error.obj).__name__} already, not a proxy of JavaScript's"
    if error.name in _CONVERSIONS and isinstance(error.obj, _PLAIN):
        return f"{own}: leave .{error.name}() out."
    if isinstance(error.obj, memoryview) and error.name in _OF_BYTES:
        return f"{own}: bytes(...) of it has its bytes, len(...) how many there are."
    if isinstance(error.obj, datetime) and str(error.name).startswith(("to", "get")):
        return f"{own}: .isoformat(), .timestamp() and .strftime(...) say what a Date's methods do."
    if error.name == "state" and hasattr(error.obj, "ctx"):
        return "An object's state is self.ctx."
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
