"""FormData, and its two encodings: multipart/form-data (RFC 7578) and application/x-www-form-urlencoded."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from runtime.web.blobs import Blob, File
from runtime.web.codings.texts import utf8
from runtime.web.pairs import Pairs
from runtime.web.scope import as_javascript
from runtime.web.url import URLSearchParams

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MAX_PARTS = 25_000  # of one form; a host's largest upload has 20,000 files
_MAX_HEAD_BYTES = 16 * 1024  # of one part
_SLICE_S = 0.001  # of reading a form, before the loop turns
_PIECE_BYTES, _PIECE_FIELDS = (512, 64 * 1024), 100  # read at a time; the more bytes, the faster they are read


FormDataInit = Mapping[str, object] | Pairs[Any] | Iterable[tuple[str, object]]


class FormData(Pairs[Any]):
    """Fields and files of a form (XMLHttpRequest standard, section 4): values are ``str`` or ``File``.

    ``FormData({"name": "Ada", "photo": File([content], "ada.png")})``, or empty and then ``append``.
    """

    def __init__(self, init: FormDataInit | None = None) -> None:
        super().__init__()
        if isinstance(init, str) or not (init is None or hasattr(init, "__iter__")):
            raise TypeError(f"Expected form_data to be a dict or an instance of FormData, not {type(init).__name__}")
        for name, value in () if init is None else (init.items() if hasattr(init, "items") else init):
            self.append(name, value)

    def append(self, name: str, value: object, filename: str | None = None) -> None:
        """Add a field; bytes and Blobs become a ``File`` called ``filename`` (default ``blob``)."""
        super().append(name, _entry(value, filename))

    def set(self, name: str, value: object, filename: str | None = None) -> None:
        super().set(name, _entry(value, filename))

    def __setitem__(self, name: str, value: object) -> None:
        if isinstance(value, list):
            raise TypeError("Expected single item in arguments to FormData.__setitem__; append() adds another")
        self.set(name, value)

    def __getitem__(self, name: str) -> object:
        """None where there is none, as the SDK's."""
        return self.get(name)

    @property
    def js_object(self) -> object:
        return as_javascript(self)

    def setdefault(self, name: str, value: object = "") -> object:
        if name not in self:
            self.set(name, value)
        return self.get(name)

    def pop(self, name: str, *default: object) -> object:
        """Raises KeyError where there is none, and no ``default``."""
        if default and name not in self:
            return default[0]
        value = super().__getitem__(name)
        self.delete(name)
        return value

    popitem, clear, update = MutableMapping.popitem, MutableMapping.clear, MutableMapping.update


MutableMapping.register(FormData)


def _entry(value: object, filename: str | None) -> str | File:
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = Blob([value])
    if isinstance(value, File) and filename is None:
        return value
    if isinstance(value, Blob):
        return File([value], filename or "blob", type=value.type)
    return str(value)


async def parse(content: bytes, content_type: str) -> FormData:
    """The form in a body, read with pauses: others have their turn. Raises ``TypeError`` when the type is neither of
    the two, the body malformed, or more than ``MAX_PARTS`` are in it."""
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind == URLENCODED:
        return await _parse_urlencoded(content)
    if kind == MULTIPART:
        return await _parse_multipart(content, content_type)
    raise TypeError(f"form_data() needs a {MULTIPART} or {URLENCODED} body, not {content_type or 'none'!r}")


class _Pauses:
    """``await due()``, often: the loop turns now and then."""

    def __init__(self) -> None:
        self._until = perf_counter() + _SLICE_S

    async def due(self) -> None:
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + _SLICE_S


async def _parse_urlencoded(content: bytes) -> FormData:
    if content.count(b"&") >= MAX_PARTS:
        raise TypeError(f"the form has more than {MAX_PARTS} fields")
    form, pauses, fields = FormData(), _Pauses(), content.split(b"&")
    for at in range(0, len(fields), _PIECE_FIELDS):
        text = b"&".join(fields[at : at + _PIECE_FIELDS]).decode("utf-8", "replace")
        for name, value in URLSearchParams("&" + text).items():
            form.append(name, value)
        await pauses.due()
    return form


def encode(form: FormData) -> tuple[bytes, str]:
    """(body, content type) of a form as multipart/form-data."""
    boundary = "form-" + secrets.token_hex(16)
    parts = [piece for name, value in form.items() for piece in _encode_part(boundary, name, value)]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"{MULTIPART}; boundary={boundary}"


def _encode_part(boundary: str, name: str, value: str | File) -> Iterator[bytes]:
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{_quote(_newlines(name))}"'
    if isinstance(value, str):
        yield utf8(f"{head}\r\n\r\n{_newlines(value)}\r\n")
        return
    kind = value.type or "application/octet-stream"
    yield utf8(f'{head}; filename="{_quote(value.name)}"\r\ncontent-type: {kind}\r\n\r\n')
    yield bytes(value)
    yield b"\r\n"


def _quote(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _newlines(text: str) -> str:
    """Every line break as CRLF, as the HTML standard has forms encoded."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


async def _parse_multipart(content: bytes, content_type: str) -> FormData:
    from python_multipart.exceptions import FormParserError  # slow to import, seldom needed
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise TypeError(f"{MULTIPART} without a boundary in its content-type: {content_type!r}")
    collector, pauses = _Collector(), _Pauses()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        at, size = _after_preamble(content, boundary), _PIECE_BYTES[0]
        while at < len(content):
            began = perf_counter()
            parser.write(content[at : at + size])
            at += size
            quick = perf_counter() - began < _SLICE_S / 4
            size = min(2 * size, _PIECE_BYTES[1]) if quick else max(size // 2, _PIECE_BYTES[0])
            await pauses.due()
        parser.finalize()
    except FormParserError as error:
        raise TypeError(f"malformed {MULTIPART} body: {error}") from None
    if not collector.ended:
        raise TypeError(f"malformed {MULTIPART} body: it ends before its last boundary")
    return collector.form


def _after_preamble(content: bytes, boundary: bytes) -> int:
    """Where the first boundary is: what stands before it is nobody's part (RFC 2046, 5.1.1)."""
    mark = b"--" + boundary
    return 0 if content.startswith(mark) else content.find(b"\n" + mark) + 1


class _Collector:
    """Builds a form out of a multipart parser's callbacks."""

    def __init__(self) -> None:
        self.form = FormData()
        self.ended = False
        self._parts = self._head_bytes = 0
        self._headers: dict[str, str] = {}
        self._field = self._value = self._data = b""
        self._pieces: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_part_end": self._on_part,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._headers, self._pieces, self._head_bytes = {}, [], 0
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TypeError(f"the form has more than {MAX_PARTS} parts")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._value += data[start:end]

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise TypeError(f"malformed {MULTIPART} body: the headers of a part are over {_MAX_HEAD_BYTES} bytes")

    def _on_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._field = self._value = b""

    def _on_part(self) -> None:
        options = _disposition(self._headers.get("content-disposition", ""))
        if "name" not in options:
            raise TypeError(f"malformed {MULTIPART} body: a part without a name")
        content = b"".join(self._pieces)
        if "filename" in options:
            kind = self._headers.get("content-type", "text/plain")
            self.form.append(options["name"], File([content], options["filename"], type=kind))
        else:
            self.form.append(options["name"], content.decode("utf-8", "replace"))

    def _on_end(self) -> None:
        self.ended = True


def _disposition(header: str) -> dict[str, str]:
    """The parameters of a Content-Disposition, unquoted. Names in UTF-8, as browsers send them."""
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(header.encode().decode("latin-1"))
    return {key.decode(): _unquote(value.decode("utf-8", "replace")) for key, value in options.items()}


def _unquote(name: str) -> str:
    return name.replace("%0D", "\r").replace("%0A", "\n").replace("%22", '"')
