"""The part of Pyodide that Python Workers import, for code written to run on both. See ``pyodide.ffi``."""

__version__ = "314.0.6"  # whose names these are
