"""SQL text in pieces, one statement each: SQLite says where one ends only by running it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import apsw

_TOKEN = re.compile(
    r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)|;", re.DOTALL
)
_TRIGGER = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*create\s+(?:temp\w*\s+)?trigger\b", re.IGNORECASE | re.DOTALL)
_BLANK = " \t\r\n;"


def statements(chunks: Iterable[str]) -> Iterator[str]:
    """Of a text that comes in chunks. A trigger's body is part of its statement; what is blank is left out."""
    rest = ""
    for chunk in chunks:
        pieces = list(_whole(rest + chunk))
        rest = pieces.pop()
        yield from (piece.strip() for piece in pieces if piece.strip(_BLANK))
    if rest.strip(_BLANK):
        yield rest.strip()


def _whole(text: str) -> Iterator[str]:
    """The statements that end in ``text``, and what is left of it."""
    start = 0
    for token in _TOKEN.finditer(text):
        if token[0] != ";":  # a quotation or a comment, perhaps cut off where the text is
            continue
        piece = text[start : token.end()]
        if not _TRIGGER.match(piece) or apsw.complete(piece):
            start = token.end()
            yield piece
    yield text[start:]


__all__ = ["statements"]
