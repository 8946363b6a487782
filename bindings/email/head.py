"""What stands in a message's head. The rest of a message is looked at by nobody here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parseaddr
from functools import cached_property

MAX_HEAD_BYTES = 256 * 1024
_MAX_TEXT = 64 * 1024  # characters of a field
_END = re.compile(rb"\r?\n\r?\n")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FOLD = re.compile(r"\r?\n[ \t]*")


class Head:
    """Of a message's bytes. Raises ValueError for a head that is too large."""

    def __init__(self, raw: bytes) -> None:
        found = _END.search(raw[: MAX_HEAD_BYTES + 4])
        if found is None and len(raw) > MAX_HEAD_BYTES:
            raise ValueError(f"the headers take more than {MAX_HEAD_BYTES // 1024} KB")
        parsed = BytesHeaderParser().parsebytes(raw if found is None else raw[: found.end()])
        self._fields = [(name, _FOLD.sub(" ", str(value)).strip()) for name, value in parsed.raw_items()]

    def get(self, name: str) -> str | None:
        """The first of that name, on one line; None where it is not there or says nothing."""
        value = next((value for other, value in self._fields if other.lower() == name), "")
        return _bytes(value).decode("utf-8", "replace")[:_MAX_TEXT] or None

    @cached_property
    def message_id(self) -> str | None:
        return self.get("message-id")

    @cached_property
    def sender(self) -> str:
        return parseaddr(self.get("from") or "")[1]

    @cached_property
    def recipients(self) -> Sequence[str]:
        return [address for _, address in getaddresses([self.get("to") or ""])]

    @cached_property
    def subject(self) -> str:
        text = self.get("subject") or ""
        try:
            return str(make_header(decode_header(text)))
        except (HeaderParseError, LookupError, UnicodeError, ValueError):
            return text

    def pairs(self) -> list[list[str]]:
        """As ``Headers`` can have them: values in Latin-1, on one line."""
        return [
            [name, re.sub(r"[\0\r\n]", " ", _bytes(value).decode("latin-1"))]
            for name, value in self._fields
            if NAME.fullmatch(name)
        ]


def _bytes(value: str) -> bytes:
    """As they came: the parser has put what is not ASCII aside."""
    return value.encode("utf-8", "surrogateescape")


__all__ = ["NAME", "Head"]
