"""Response. Fetch standard, section 5.5."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Self, SupportsInt

from runtime.web import codings
from runtime.web import url as urls
from runtime.web.abort import AbortSignal
from runtime.web.body import Body, HttpStatusError
from runtime.web.codings.json_text import written
from runtime.web.headers import Headers, RawHeaders
from runtime.web.sockets.websocket import WebSocket

NULL_BODY_STATUSES = frozenset({101, 204, 205, 304})
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_CAMEL_CASE_OPTIONS = {"statusText": "status_text", "encodeBody": "encode_body", "webSocket": "web_socket"}
_RESPONSE_INIT = ("status", "status_text", "headers", "encode_body", "cf", "web_socket")
_SWITCHING = 101


class _Json:
    """``Response.json(data)`` makes one, ``await response.json()`` reads one: the standard has both."""

    def __get__(self, response: Response | None, owner: type[Response]) -> Callable[..., Any]:
        return owner.from_json if response is None else super(Response, response).json


class Response(Body):
    """``Response("text")``, ``Response(stream, status=201, headers={...})``, ``Response.json(data)``.

    The body is None, str, bytes, an async iterator of either, another response's ``body``, FormData,
    URLSearchParams or Blob; a response alone is that response again. The options may also come as a dict in second
    place, as in JavaScript, or as another Response, from which they are copied; an int there is the status.

    As on Workers: a body whose headers name the coding br, zstd, gzip or deflate is compressed on its way out unless
    it is already (``encode_body="manual"``: it is yours, send it as it is), and Content-Length is worked out by
    the runtime, so that headers copied from another response never lie about a body that was changed.

    ``web_socket``, with the status 101, hands a WebSocket to the client that asked for one.

    Raises ``ValueError`` for a status outside 200 to 599, ``TypeError`` for a body that cannot be one.
    """

    __slots__ = ("_manual", "cf", "redirected", "status", "status_text", "type", "url", "web_socket")

    def __init__(
        self,
        body: object = None,
        init: ResponseInit | None = None,
        status_text: str = "",
        headers: object = None,
        *,
        status: int = 200,
        encode_body: str = "automatic",
        cf: object = None,
        web_socket: WebSocket | None = None,
        webSocket: WebSocket | None = None,
        statusText: str = "",
    ) -> None:
        status_text = status_text or statusText
        if isinstance(body, Response) and init is headers is None and status == 200 and not status_text:
            return self._become(body)
        self.web_socket = web_socket or webSocket
        if init is not None:
            options = _options(init)
            status, status_text = options.get("status", status), options.get("status_text", status_text)
            headers, cf = options.get("headers", headers), options.get("cf", cf)
            encode_body = options.get("encode_body", encode_body)
            self.web_socket = options.get("web_socket", self.web_socket)
        if self.web_socket is not None and status != _SWITCHING:
            raise ValueError("Responses with a WebSocket must have status code 101.")
        self.status = status if type(status) is int and (200 <= status <= 599 or self.web_socket) else _status(status)
        self.status_text = status_text and _checked_reason(status_text)
        self.url, self.redirected, self.type, self.cf = "", False, "default", cf
        self._manual = encode_body == "manual"
        self._headers = None if headers is None else Headers(headers)
        self._set_body(body)
        if body is not None and self.status in NULL_BODY_STATUSES:
            self._drop_body()

    def _become(self, other: Response) -> None:
        """As the SDK's, which so wraps one of JavaScript's: the same response by another name."""
        for name in (*Body.__slots__, *Response.__slots__):
            setattr(self, name, getattr(other, name))
        if isinstance(self._headers, Headers):
            self._headers = Headers(self._headers)

    def _drop_body(self) -> None:
        """As on Workers, which against the standard lets an empty body be none: ``Response("", status=204)``."""
        if self._content != b"":
            raise TypeError(f"status {self.status} cannot have a body: Response(None, status={self.status})")
        self._content = self._type = None

    @classmethod
    def from_parts(
        cls,
        status: int,
        status_text: str,
        headers: Iterable[Iterable[bytes]],
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        url: str = "",
        redirected: bool = False,
    ) -> Response:
        """For the transport: a response as it came in, on trust.

        A streamed body is decoded when it is read, and passed on as it is when it is not. With a status that
        has no body (204, 304 …) ``body`` is dropped: close it first.
        """
        self = cls.__new__(cls)
        self.status, self.status_text, self.url, self.redirected = status, status_text, url, redirected
        self.type, self.cf, self._manual, self.web_socket = "default", None, False, None
        self._headers, self._type = Headers.from_raw(headers), None
        body = None if status in NULL_BODY_STATUSES else body
        is_here = body is None or isinstance(body, bytes)
        self._receive(body, "" if is_here else self._coding(), None if is_here else self._length())
        return self

    @classmethod
    def from_whole(cls, status: int, headers: RawHeaders, content: bytes) -> Response:
        """For the runtime: a worker's answer that is all here, on trust, in the coding and of the length that its
        headers say, in lower case."""
        self = cls.__new__(cls)
        self.status, self.status_text, self.url, self.redirected = status, "", "", False
        self.type, self.cf, self._manual, self.web_socket = "default", None, True, None
        self._headers, self._type = headers, None
        self._content, self._stream, self._used = content, None, False
        return self

    @classmethod
    def from_json(
        cls, data: object, init: ResponseInit | None = None, status_text: str = "", headers: object = None,
        **options: Any,
    ) -> Response:  # fmt: skip
        """A response of JSON; what ``Response.json(data, status=..., headers=...)`` calls."""
        try:
            text = written(data)
        except ValueError as error:
            raise TypeError(f"Response.json: {error}") from None
        response = cls(text, init, status_text, headers, **options)
        response._type = b"application/json"
        return response

    json = _Json()

    @classmethod
    def redirect(cls, url: object, status: int = 302) -> Response:
        """A redirect to an absolute ``url``. Raises ``ValueError`` for a status that is no redirect."""
        if status not in _REDIRECT_STATUSES:
            raise ValueError(f"not a redirect status: {status}; one of {sorted(_REDIRECT_STATUSES)}")
        response = cls(None, status=status, headers={"location": urls.parse(url).href})
        response._headers._frozen = True
        return response

    @classmethod
    def error(cls) -> Response:
        """A network error: status 0. It cannot be sent to a client."""
        response = cls.from_parts(0, "", [])
        response.type = "error"
        return response

    @property
    def headers(self) -> Headers:
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers()
        elif type(headers) is list:
            headers = self._headers = Headers.from_raw(headers)
        if self._type is not None:
            if not headers.has("content-type"):
                headers.append("content-type", self._type)
            self._type = None
        return headers  # type: ignore[no-any-return]

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    def replace_body(self, body: object) -> Response:
        """The same but for its body; its type and length are what the headers say of them."""
        return Response(body, self)

    def raise_for_status(self) -> None:
        """Raises ``HttpStatusError`` for a status from 400 on."""
        if self.status >= 400:
            raise HttpStatusError(self.status, self.status_text, self.url)

    def clone(self) -> Self:
        """A second response with the same body. A stream is split, as ``ReadableStream.tee`` says."""
        other = type(self).__new__(type(self))
        other.status, other.status_text, other.url = self.status, self.status_text, self.url
        other.redirected, other.type, other.cf = self.redirected, self.type, self.cf
        other._manual, other._headers, other.web_socket = self._manual, Headers(self.headers), None
        self._share_body(other)
        return other

    def to_parts(
        self, accepts: Callable[[str], bool] | None = None
    ) -> tuple[int, str, RawHeaders, bytes | AsyncIterator[Any] | None]:
        """For the runtime: (status, status text, headers, body), the body taken, the headers true of it.

        The body's coding is what the headers say, unless its reader does not accept that: then it has none.
        Content-Length is there only when it is known.
        """
        if self._stream is None and type(self._headers) is list:
            return self.status, self.status_text, self._headers, self._claim()
        if self._headers is None and self._stream is None:
            return self._bare_parts()
        raw, content = self.headers.raw(), self._content
        if self._stream is None and content is None:
            return self.status, self.status_text, raw, None
        drop, coding = [b"content-length"], self._coding()
        if coding and accepts is not None and not self._manual and codings.is_known(coding) and not accepts(coding):
            drop, coding = [*drop, b"content-encoding"], ""
        body = self._outgoing(coding)
        length = len(body) if isinstance(body, bytes) else self._known_length(coding)
        raw = [pair for pair in raw if pair[0] not in drop]
        if length is not None:
            raw.append((b"content-length", b"%d" % length))
        return self.status, self.status_text, raw, body

    def _bare_parts(self) -> tuple[int, str, RawHeaders, bytes | None]:
        """``to_parts`` of one to which nobody has given headers, or a stream."""
        content = self._claim()
        raw = [] if self._type is None else [(b"content-type", self._type)]
        if content is not None:
            raw.append((b"content-length", b"%d" % len(content)))
        return self.status, self.status_text, raw, content

    def watch(self, signal: AbortSignal) -> None:
        """For fetch: let ``signal`` end the body too, should it abort after the headers came."""
        if self._stream is not None:
            self._stream.signal = signal

    def _outgoing(self, coding: str) -> bytes | AsyncIterator[Any]:
        stream = self._stream
        if stream is None:
            content = self._claim() or b""
            return codings.encode_bytes(content, coding) if self._encodes(coding, "") else content
        self._check_unused()
        self._used = True
        if not self._encodes(coding, stream.coding):
            return stream.detach(coding if stream.coding else "")
        return codings.encode(aiter(stream), coding)

    def _encodes(self, coding: str, present: str) -> bool:
        return not self._manual and coding != present and codings.is_known(coding)

    def _known_length(self, coding: str) -> int | None:
        stream = self._stream
        return stream.length if stream is not None and stream.coding == coding else None

    def _coding(self) -> str:
        value = self.headers.get("content-encoding")
        return codings.canonical(value) if value else ""

    def _length(self) -> int | None:
        value = self.headers.get("content-length") or ""
        return int(value) if value.isdigit() else None

    def __repr__(self) -> str:
        said = {"status_text": self.status_text, "content_type": self.headers.get("content-type"), "url": self.url}
        return ", ".join([f"Response(status={self.status}", *(f"{k}={v!r}" for k, v in said.items() if v)]) + ")"

    js_response = property(lambda self: self.js_object)
    statusText = property(lambda self: self.status_text)
    webSocket = property(lambda self: self.web_socket)


ResponseInit = Mapping[str, Any] | Response | int


def _options(init: ResponseInit) -> dict[str, Any]:
    if isinstance(init, int):
        return {"status": init}
    if isinstance(init, Response):
        return {name: getattr(init, name) for name in ("status", "status_text", "headers", "cf", "web_socket")}
    options = {_CAMEL_CASE_OPTIONS.get(str(k), str(k)): v for k, v in dict(init).items() if v is not None}
    for name in options:
        if name not in _RESPONSE_INIT:
            raise TypeError(f"unknown option {name!r} of a Response; known: {', '.join(_RESPONSE_INIT)}")
    return options


def _status(status: SupportsInt | str) -> int:
    """Also takes ``HTTPStatus`` and, as JavaScript does, ``"404"``."""
    number = int(status)
    if not 200 <= number <= 599:
        raise ValueError(f"a response's status must be 200 to 599, not {status}")
    return number


def _checked_reason(text: str) -> str:
    if any(ord(c) > 255 or c in "\r\n\0" for c in text):
        raise TypeError(f"invalid status_text: {text!r:.80}")
    return text
