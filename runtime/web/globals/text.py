"""TextEncoder, TextDecoder, ``atob`` and ``btoa``. Encoding standard, sections 7 and 8; HTML standard, 8.3."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Mapping

from runtime.web.codings.texts import utf8

_LABELS = {  # where the standard's encoding of that label is another than Python's
    "ascii": "cp1252", "us-ascii": "cp1252", "iso-8859-1": "cp1252", "latin1": "cp1252", "l1": "cp1252",
    "iso8859-1": "cp1252", "unicode": "utf-16-le", "utf-16": "utf-16-le", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "unicode-1-1-utf-8": "utf-8", "utf8": "utf-8", "x-sjis": "cp932", "shift_jis": "cp932",
    "shift-jis": "cp932", "sjis": "cp932", "gbk": "gb18030", "gb2312": "gb18030", "euc-kr": "cp949",
    "big5": "big5hkscs",
}  # fmt: skip
_NAMES = {"cp1252": "windows-1252", "cp932": "shift_jis", "cp949": "euc-kr", "big5hkscs": "big5",
          "utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}  # fmt: skip
_BASE64_SPACE = re.compile(r"[\t\n\f\r ]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_CHUNKABLE = ("utf-8", "utf-16-le", "utf-16-be")


class TextEncoder:
    """To UTF-8, the only one there is."""

    encoding = "utf-8"

    def encode(self, text: str = "") -> bytes:
        """Half a surrogate pair becomes U+FFFD."""
        return utf8(str(text))


class InvalidTextError(ValueError):
    """``name`` is JavaScript's, such as ``InvalidCharacterError``."""

    def __init__(self, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{name}: {message}")


class TextDecoder:
    """``TextDecoder(label, fatal=, ignoreBOM=)``, or with an object of these two. Raises ``InvalidTextError`` (a
    RangeError) for an unknown label."""

    def __init__(
        self, label: str = "utf-8", options: Mapping[str, object] | None = None, *, fatal: object = False,
        ignoreBOM: object = False,
    ) -> None:  # fmt: skip
        name, given = str(label).strip().lower(), options or {}
        try:
            self._codec = codecs.lookup(_LABELS.get(name, name)).name
        except LookupError:
            raise InvalidTextError("RangeError", f'"{label}" is not a valid encoding.') from None
        self.fatal, self.ignoreBOM = bool(given.get("fatal", fatal)), bool(given.get("ignoreBOM", ignoreBOM))
        self._at_start = True
        self._decoder = self._fresh()

    @property
    def encoding(self) -> str:
        return _NAMES.get(self._codec, self._codec)

    def decode(
        self, data: bytes | bytearray | memoryview | None = None, options: Mapping[str, object] | None = None, *,
        stream: object = False,
    ) -> str:  # fmt: skip
        """``stream``: more comes, so half a character waits. Raises ``TypeError`` for what is not text when fatal."""
        stream = bool((options or {}).get("stream", stream))
        try:
            text = self._decoder.decode(bytes(data or b""), not stream)
        except UnicodeDecodeError:
            self._decoder = self._fresh()
            raise TypeError(f"The encoded data was not valid for encoding {self.encoding}") from None
        if not stream:
            self._decoder = self._fresh()
        if self._at_start and text:
            self._at_start = stream
            if not self.ignoreBOM and self._codec in _CHUNKABLE:
                text = text.removeprefix("\ufeff")
        return text

    def _fresh(self) -> codecs.IncrementalDecoder:
        self._at_start = True
        return codecs.getincrementaldecoder(self._codec)("strict" if self.fatal else "replace")


def btoa(text: str) -> str:
    """Raises ``InvalidTextError`` (an InvalidCharacterError) beyond Latin-1."""
    try:
        return base64.b64encode(str(text).encode("latin-1")).decode()
    except UnicodeEncodeError:
        what = "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range."
        raise InvalidTextError("InvalidCharacterError", what) from None


def atob(text: str) -> str:
    """Bytes as the characters of those numbers. Raises ``InvalidTextError`` (an InvalidCharacterError)."""
    bare = _BASE64_SPACE.sub("", str(text))
    if len(bare) % 4 == 0:
        bare = bare.removesuffix("==") if bare.endswith("==") else bare.removesuffix("=")
    if len(bare) % 4 == 1 or "=" in bare or not _BASE64.fullmatch(bare):
        raise InvalidTextError("InvalidCharacterError", "atob() called with invalid base64-encoded data.")
    return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("latin-1")


__all__ = ["InvalidTextError", "TextDecoder", "TextEncoder", "atob", "btoa"]
