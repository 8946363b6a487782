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
from itertools import groupby
from typing import Literal, NamedTuple

Kind = Literal["text", "start", "end", "comment", "doctype", "other"]
VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "basefont", "bgsound", "frame", "keygen",
))  # fmt: skip
_DOCTYPE = re.compile(
    r'doctype\s+(\S+)(?:\s+(?:public\s+["\']([^"\']*)["\']|system)?\s*(?:["\']([^"\']*)["\'])?)?', re.I
)
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")


class Attribute(NamedTuple):
    """``name`` in lower case, ``value`` without its quotes, else as written; ``source``: both."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Token:
    """``name``: of a tag, in lower case, or a comment's text."""

    kind: Kind
    source: str
    name: str = ""
    attributes: tuple[Attribute, ...] = ()
    closed: bool = False  # "/>"


class Tokenizer(HTMLParser):
    """Bytes in UTF-8 in, tokens out; half a tag or character waits for its other half."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._read: list[tuple[Kind, str, bool]] = []
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
        """An entity is part of the text that it stands in."""
        tokens, self._tokens = self._tokens, []
        for is_text, run in groupby(tokens, lambda token: token.kind == "text"):
            if is_text:
                yield Token("text", "".join(token.source for token in run))
            else:
                yield from run

    def updatepos(self, i: int, j: int) -> int:
        if j > i:
            kind, name, closed = self._read[0] if self._read else ("text", "", False)
            source = self.rawdata[i:j]
            attributes = _attributes(source, 1 + len(name)) if kind == "start" else ()
            self._tokens.append(Token(kind, source, name, attributes, closed))
            self._read.clear()
        return super().updatepos(i, j)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._read.append(("start", tag, False))

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self._read.append(("start", tag, True))

    def handle_endtag(self, tag: str) -> None:
        self._read.append(("end", tag, False))

    def handle_comment(self, data: str) -> None:
        self._read.append(("comment", data, False))

    def handle_decl(self, decl: str) -> None:
        self._read.append(("doctype", decl, False))

    def unknown_decl(self, data: str) -> None:
        self._read.append(("other", data, False))

    def handle_pi(self, data: str) -> None:
        self._read.append(("comment", f"?{data}", False))


def _attributes(source: str, at: int) -> tuple[Attribute, ...]:
    found = _ATTRIBUTE.finditer(source, at)
    return tuple(Attribute(one[1].lower(), one[2] or one[3] or one[4] or "", one[0]) for one in found)


def doctype(text: str) -> tuple[str | None, str | None, str | None]:
    """(name, public id, system id)."""
    found = _DOCTYPE.match(text)
    return (found[1].lower(), found[2], found[3]) if found else (None, None, None)


__all__ = ["VOID", "Attribute", "Token", "Tokenizer", "doctype"]
