"""What Request and Response have in common: a body that can be read once. Fetch standard, section 5.3."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from runtime.web import forms
from runtime.web.array_buffer import ArrayBuffer
from runtime.web.blobs import Blob
from runtime.web.codings.json_text import as_text, parse
from runtime.web.codings.texts import utf8
from runtime.web.headers import Headers
from runtime.web.scope import as_javascript
from runtime.web.streams import BUFFERS, ReadableStream
from runtime.web.url import URLSearchParams

_Bytes = bytes  # inside the class, "bytes" is a method
TEXT = b"text/plain;charset=UTF-8"
_ONCE = "it can be read only once; call clone() before the first read"


class BodyUsedError(TypeError, OSError):
    """A second read: ``TypeError`` in JavaScript, ``OSError`` in the SDK."""


class HttpStatusError(OSError):
    """What ``raise_for_status`` raises; ``pyodide.http`` has it too."""

    def __init__(self, status: int, status_text: str, url: str) -> None:
        self.status, self.status_text, self.url = status, status_text, url
        whose = "Client" if status < 500 else "Server"
        super().__init__(f"{status} {whose} Error: {status_text} for url: {url}")


class Body:
    """A body is one of: nothing, bytes that are here, or a stream.

    ``_content`` holds bytes, ``_stream`` a stream (made on demand over the bytes when someone asks for
    ``body``), ``_used`` is set once either was read or handed on.
    """

    __slots__ = ("_content", "_headers", "_stream", "_type", "_used")

    _NAME, _USED = "Response", "Response body is already used"
    _content: _Bytes | None
    _stream: ReadableStream | None
    _type: _Bytes | None  # the content type that the body brings along
    _headers: Any  # Headers, or what they are made of when someone asks
    _used: bool

    @property
    def headers(self) -> Headers:
        raise NotImplementedError

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream, or None. To hand it on unread costs nothing: ``Response(other.body)``."""
        if self._stream is None and self._content is not None:
            self._stream = ReadableStream(self._content)
            self._stream.disturbed = self._stream.locked = self._used
        return self._stream

    @property
    def body_used(self) -> bool:
        """Whether the body has been read, in part or whole, or handed on."""
        return self._used or (self._stream is not None and self._stream.disturbed)

    async def bytes(self) -> _Bytes:
        """The whole body. Raises ``BodyUsedError`` on a second read."""
        if self._stream is None:
            return self._claim() or b""
        self._check_unused()
        self._used = True
        return await _collect(self._stream)

    async def text(self) -> str:
        """The whole body as text, read as UTF-8; what is not UTF-8 becomes U+FFFD."""
        return as_text(await self.bytes())

    async def json(self, **options: Any) -> Any:
        """The whole body, parsed; ``options`` are those of ``json.loads``. Raises ``json.JSONDecodeError`` (a
        ``ValueError``) when it is not JSON."""
        return json.loads(await self.text(), **options) if options else parse(await self.bytes())

    async def array_buffer(self) -> ArrayBuffer:
        """``bytes()``, with ``to_bytes()`` and the other names of Pyodide's proxy of an ArrayBuffer."""
        return ArrayBuffer(await self.bytes())

    async def blob(self) -> Blob:
        return Blob([await self.bytes()], type=self.headers.get("content-type") or "")

    async def form_data(self) -> forms.FormData:
        """The form in the body. Raises ``TypeError`` unless the content type is one of a form."""
        return await forms.parse(await self.bytes(), self.headers.get("content-type") or "")

    @property
    def js_object(self) -> object:
        """The same message as ``js`` has it, whose headers are iterated over in pairs and whose JSON are proxies."""
        return as_javascript(self)

    def take_body(self) -> _Bytes | AsyncIterator[Any] | None:
        """For the runtime: take the body out, once. Raises ``TypeError`` if it was used.

        A stream that nobody has read comes out as the very iterator it was made from, whose chunks may be
        ``bytes`` or ``str`` (``web.to_bytes`` makes them one). ``to_parts`` does more: use it for a message.
        """
        if self._stream is None:
            return self._claim()
        self._check_unused()
        self._used = True
        return self._stream.detach(self._stream.coding)

    def _claim(self) -> _Bytes | None:
        if self._used:
            raise BodyUsedError(f"{self._USED}: {_ONCE}")
        self._used = self._content is not None
        return self._content

    def _check_unused(self) -> None:
        if self._used:
            raise BodyUsedError(f"{self._USED}: {_ONCE}")
        if self._stream is not None:
            self._stream.check_unlocked()

    def _set_body(self, body: object) -> None:
        self._used = False
        self._content, self._stream, self._type = (None, None, None) if body is None else extract(body, self._NAME)

    def _receive(self, body: _Bytes | AsyncIterator[Any] | None, coding: str, length: int | None) -> None:
        """A body from a peer: bytes, or a stream of so many bytes."""
        self._used, self._type, self._content, self._stream = False, None, None, None
        if body is None or isinstance(body, _Bytes):
            self._content = body
        else:
            self._stream = ReadableStream(body, coding=coding, length=length)

    def _share_body(self, other: Body) -> None:
        """Give ``other``, a clone, the same body: a stream is split in two."""
        self._check_unused()
        other._content, other._stream, other._type = self._content, self._stream, self._type
        other._used = False
        if self._stream is not None:
            self._stream, other._stream = self._stream.tee()

    async def memoryview(self) -> memoryview:
        return memoryview(await self.bytes())

    bodyUsed = body_used
    buffer, string = array_buffer, text
    arrayBuffer = array_buffer
    formData = form_data


Extracted = tuple[_Bytes | None, ReadableStream | None, _Bytes | None]


def extract(body: object, owner: str = "Response") -> Extracted:
    """(content, stream, content type) of anything that can be a body.

    Raises ``TypeError`` for the rest, ``ValueError`` for another message.
    """
    if isinstance(body, str):
        return utf8(body), None, TEXT
    if isinstance(body, BUFFERS):
        return bytes(body), None, None
    if isinstance(body, ReadableStream):
        body.check_unlocked()
        return None, body, None
    if hasattr(body, "__aiter__"):
        return None, ReadableStream(body), None
    return _extract_object(body, owner)


def _extract_object(body: object, owner: str) -> Extracted:
    if isinstance(body, URLSearchParams):
        return str(body).encode(), None, f"{forms.URLENCODED};charset=UTF-8".encode()
    if isinstance(body, forms.FormData):
        content, kind = forms.encode(body)
        return content, None, kind.encode()
    if isinstance(body, Blob):
        return bytes(body), None, body.type.encode() or None
    if isinstance(body, Body):
        remedy = "hand on its body:  Response(other.body, headers=other.headers)"
        raise ValueError(f"Expected no options when constructing {owner} from a js.Response; {remedy}")
    raise TypeError(f"Unsupported type in {owner}: {type(body).__name__}{_remedy(body)}")


def _remedy(body: object) -> str:
    if isinstance(body, (dict, list, tuple)):
        return "; for JSON:  Response.json(data)"
    if hasattr(body, "read"):
        return "; hand on what it reads:  Response(file.read())"
    if hasattr(body, "__iter__"):
        return "; a stream must be asynchronous:  async def generate(): yield ..."
    if hasattr(body, "__await__"):
        return "; it must be awaited first:  await ..."
    return "; use str, bytes, an async iterator of them, FormData, Blob, or Response.json(data)"


async def _collect(stream: ReadableStream) -> bytes:
    reader = stream.get_reader()
    try:
        return b"".join([chunk async for chunk in reader])
    except BaseException:
        await reader.aclose()
        raise
