"""``json.dumps`` of ``jsnull``, which Pyodide has taught it."""

from __future__ import annotations

from json import JSONEncoder

from runtime.values.objects import jsnull

_refuse = JSONEncoder.default


def write() -> None:
    """From now on, in this process: ``json.dumps([jsnull])`` is ``[null]``."""
    JSONEncoder.default = _default  # type: ignore[method-assign,assignment]


def _default(self: JSONEncoder, value: object) -> object:
    return None if value is jsnull else _refuse(self, value)


__all__ = ["write"]
