"""The part of Pyodide that Python Workers import, for code written to run on both. See ``pyodide.ffi``."""
