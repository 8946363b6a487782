"""A page as tokens that keep their source, so that what nobody changes leaves as it came.

On ``html.parser``, which is given the page piece by piece. Each step of it ends in ``updatepos``, which is in no
documentation of it: the source of what it has just read lies between the two positions. A test says if that ends.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Literal

Kind = Literal["text", "start", "end", "comment", "doctype", "other"]
VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "basefont", "bgsound", "frame", "keygen",
))  # fmt: skip
_DOCTYPE = re.compile(
    r'doctype\s+(\S+)(?:\s+(?:public\s+["\']([^"\']*)["\']|system)?\s*(?:["\']([^"\']*)["\'])?)?', re.I
)


@dataclass(frozen=True, slots=True)
class Token:
    """``name``: of a tag, as it is written, or a comment's text. ``attributes`` as written, their values decoded."""

    kind: Kind
    source: str
    name: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    closed: bool = False  # "/>"


class Tokenizer(HTMLParser):
    """Bytes in UTF-8 in, tokens out; half a tag or character waits for its other half."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._read: list[tuple[Kind, str, tuple[tuple[str, str], ...], bool]] = []
        self._tokens: list[Token] = []

    def tokens(self, chunk: bytes) -> Iterator[Token]:
        self.feed(self._decoder.decode(chunk))
        return self._taken()

    def last(self) -> Iterator[Token]:
        self.feed(self._decoder.decode(b"", True))
        rest = self.rawdata
        self.close()
        taken = list(self._taken())
        left = rest[sum(len(token.source) for token in taken) :]  # half a tag, of which the parser makes nothing
        return iter([*taken, Token("other", left)] if left else taken)

    def _taken(self) -> Iterator[Token]:
        tokens, self._tokens = self._tokens, []
        return iter(tokens)

    def updatepos(self, i: int, j: int) -> int:
        if j > i:
            kind, name, attributes, closed = self._read[0] if self._read else ("text", "", (), False)
            self._tokens.append(Token(kind, self.rawdata[i:j], name, attributes, closed))
            self._read.clear()
        return super().updatepos(i, j)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, False)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, True)

    def _start(self, tag: str, attrs: list[tuple[str, str | None]], closed: bool) -> None:
        self._read.append(("start", tag, tuple((name, value or "") for name, value in attrs), closed))

    def handle_endtag(self, tag: str) -> None:
        self._read.append(("end", tag, (), False))

    def handle_comment(self, data: str) -> None:
        self._read.append(("comment", data, (), False))

    def handle_decl(self, decl: str) -> None:
        self._read.append(("doctype", decl, (), False))

    def unknown_decl(self, data: str) -> None:
        self._read.append(("other", data, (), False))

    def handle_pi(self, data: str) -> None:
        self._read.append(("comment", f"?{data}", (), False))


def doctype(text: str) -> tuple[str | None, str | None, str | None]:
    """(name, public id, system id)."""
    found = _DOCTYPE.match(text)
    return (found[1].lower(), found[2], found[3]) if found else (None, None, None)


__all__ = ["VOID", "Token", "Tokenizer", "doctype"]
