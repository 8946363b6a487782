"""The object of JavaScript's that Pyodide is: ``import pyodide_js``. Of it there is the version."""

from __future__ import annotations

from pyodide import __version__ as version  # type: ignore[attr-defined,import-not-found,unused-ignore]

__all__ = ["version"]


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"pyodide_js.{name} is not here: there is no JavaScript. What is to be installed is named in pyproject.toml"
    )
