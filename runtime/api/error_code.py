"""What an API's table of errors is made of."""

from __future__ import annotations

from typing import Any

import msgspec


class ErrorCode(msgspec.Struct, frozen=True):
    """A row. ``name`` stands before the text in REST's message, where the code has one; ``text`` has ``{fields}``, and
    is what is said unless the place that raises the error says more."""

    code: int
    status: int  # HTTP
    name: str
    text: str
    when: str

    def describe(self, **fields: Any) -> str:
        return self.text.format(**fields)


__all__ = ["ErrorCode"]
