"""For type checkers: ``runtime/sdk/pyodide`` by the name that a worker has for it."""

__version__: str
