"""Request. Fetch standard, section 5.4."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPMethod
from typing import Any, Self

from runtime.web import codings
from runtime.web import url as urls
from runtime.web.abort import AbortSignal
from runtime.web.body import Body
from runtime.web.headers import Headers, RawHeaders

_NORMALIZED_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}  # whose case is mended
_FORBIDDEN_METHODS = {"CONNECT", "TRACE", "TRACK"}
_AMBIENT = "ambient"  # the signal of the event served
_REDIRECTS = ("follow", "manual", "error")
_REQUEST_INIT = ("method", "headers", "body", "signal", "redirect", "cf")
_BROWSER_OPTIONS = {  # which mean nothing on a server
    "cache", "credentials", "duplex", "encodeResponseBody", "integrity", "keepalive", "mode", "priority", "referrer",
    "referrerPolicy", "window",
}  # fmt: skip
_METHODS: dict[str, str] = {method.value: method for method in HTTPMethod}


class Leaving:
    """That who asked leaves, which outlives a request that nobody has any more."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: AbortSignal | None = None  # once somebody asks for it

    @property
    def signal(self) -> AbortSignal:
        if self._made is None:
            self._made = _new_signal(_AMBIENT)
        return self._made

    @signal.setter
    def signal(self, made: AbortSignal) -> None:
        self._made = made

    def left(self) -> None:
        """For the runtime, as of ``Request``."""
        self.signal._fire()


class Request(Body):
    """``Request("https://example.com", method="POST", headers={...}, body="...")``.

    The options may also come as a dict in second place, as in JavaScript, or as another Request, from which
    they are copied: ``Request(new_url, request)``. ``Request(request)`` takes the body over: the old one
    counts as used. ``redirect`` is "follow", "manual" or "error".

    Raises ``TypeError`` for an invalid URL or one with a password, for a method that is no token or is
    forbidden, and for a body with GET or HEAD.
    """

    _signal: AbortSignal | Request | Leaving | str | None
    """Itself, whose it is, _AMBIENT until someone asks, or none."""

    __slots__ = ("_cf", "_signal", "method", "redirect", "url")
    _NAME, _USED = "Request", "Body already used"

    url: str
    method: str  # an HTTPMethod, where it is one

    # What a browser's request has, and none on Workers:
    cache = credentials = destination = is_history_navigation = mode = referrer = referrer_policy = None
    integrity, keepalive = "", False

    def __init__(
        self,
        resource: object,
        init: RequestInit | None = None,
        *,
        method: str | None = None,
        headers: object = None,
        body: object = None,
        signal: AbortSignal | None = None,
        redirect: str | None = None,
        cf: object = None,
        **others: object,
    ) -> None:
        given = dict(zip(_REQUEST_INIT, (method, headers, body, signal, redirect, cf), strict=True))
        keywords = _options({**given, **others} if others else given)
        options = {**_inherited(resource), **_options(init), **keywords}
        self.url = resource.url if isinstance(resource, Request) else _absolute_url(resource)
        method = _method(options.get("method", "GET"))
        self.method = _METHODS.get(method, method)
        self.redirect = _redirect(options.get("redirect", "follow"))
        self._cf = options.get("cf")
        self._signal = _signal(options.get("signal"))
        self._headers: Any = Headers(options.get("headers"))
        self._set_body_from(options.get("body"), resource)

    @classmethod
    def from_parts(
        cls,
        method: str,
        url: str,
        headers: Iterable[Iterable[bytes]],
        body: bytes | AsyncIterator[bytes] | None = None,
        cf: object = None,
    ) -> Request:
        """For the runtime: a request as it came in, on trust; nothing is parsed before someone asks.

        ``headers`` may be any iterable, ``raw()`` what ``raw_headers`` asks of it; ``cf`` a function that makes it. Its
        redirects are "manual", so that
        ``fetch(request)`` hands them to the client, as on Workers.
        """
        self = cls.__new__(cls)
        self.method, self.url, self.redirect = _METHODS.get(method, method), url, "manual"
        self._cf = cf
        self._headers, self._signal = headers, _AMBIENT
        self._receive(body, "", None if body is None else _content_length(headers))
        return self

    @property
    def headers(self) -> Headers:
        """Those of an incoming request cannot be changed; ``Request(request)`` has a copy that can."""
        if not isinstance(self._headers, Headers):
            self._headers = Headers.from_raw(self._headers, frozen=True)
        return self._headers

    def raw_headers(self) -> RawHeaders:
        """For the runtime: ``headers.raw()``, where nobody needs the ``Headers`` themselves."""
        held = self._headers if hasattr(self._headers, "raw") else self.headers
        return held.raw()

    @property
    def cf(self) -> Any:
        """What Cloudflare says of an incoming request: a dict whose keys are attributes as well. None of another."""
        if callable(self._cf):
            self._cf = self._cf()
        return self._cf

    @property
    def signal(self) -> AbortSignal:
        """Aborts when whoever asked has lost interest: for an incoming request, when the client leaves."""
        held = self._signal
        if not isinstance(held, AbortSignal):
            held = self._signal = held.signal if isinstance(held, Request | Leaving) else _new_signal(held)
        return held

    def left(self) -> None:
        """For the runtime: who asked has left."""
        self.signal._fire()

    def leaving(self) -> Leaving:
        """For the runtime: to say so later, without the request."""
        leaving = Leaving()
        if self._signal is _AMBIENT:
            self._signal = leaving
        else:
            leaving.signal = self.signal
        return leaving

    def accepts(self, coding: str) -> bool:
        """For the runtime: whether who asked can read an answer that is encoded so."""
        return codings.accepts(self.headers.get("accept-encoding"), coding)

    @property
    def watched(self) -> bool:
        """For the runtime: somebody has asked for the signal."""
        return isinstance(self._signal, AbortSignal)

    def clone(self) -> Self:
        """A second request with the same body. A stream is split, as ``ReadableStream.tee`` says."""
        other = type(self).__new__(type(self))
        other.method, other.url, other.redirect, other._cf = self.method, self.url, self.redirect, self._cf
        other._headers, other._signal = Headers(self.headers), self._lent_signal()
        self._share_body(other)
        return other

    def to_parts(self) -> tuple[str, str, RawHeaders, bytes | AsyncIterator[Any] | None]:
        """For the transport: (method, url, headers, body), the body taken. A Content-Length is there only when
        it is known to be true of this body, as it is of a whole one: WSGI applications read no more than it says."""
        length = self._stream.length if self._stream is not None else None
        keep = length is not None or (self._content is None and self._stream is None)
        raw = [p for p in self.headers.raw() if keep or p[0] != b"content-length"]
        if self._content is not None:
            raw.append((b"content-length", b"%d" % len(self._content)))
        return self.method, self.url, raw, self.take_body()

    def _lent_signal(self) -> AbortSignal | Request | Leaving | str | None:
        """It, or this request, which makes it when someone asks."""
        return self if self._signal is _AMBIENT or isinstance(self._signal, Leaving) else self._signal

    def __repr__(self) -> str:
        return f"Request(method={str(self.method)!r}, url={self.url!r})"

    def _set_body_from(self, body: object, resource: object) -> None:
        if body is None and isinstance(resource, Request):
            self._take_body_of(resource)
            return
        if body is not None and self.method in ("GET", "HEAD"):
            raise TypeError(f"a {self.method} request cannot have a body")
        self._set_body(body)
        if self._type is not None and not self._headers.has("content-type"):
            self._headers.append("content-type", self._type)

    def _take_body_of(self, other: Request) -> None:
        other._check_unused()
        self._content, self._stream, self._type = other._content, other._stream, other._type
        self._used = False
        other._used = other._content is not None or other._stream is not None


def _inherited(resource: object) -> dict[str, Any]:
    if not isinstance(resource, Request):
        return {}
    names = ("method", "headers", "redirect", "_cf")
    return {**{name.removeprefix("_"): getattr(resource, name) for name in names}, "signal": resource._lent_signal()}


RequestInit = Mapping[str, Any] | Request


def _options(init: RequestInit | None) -> dict[str, Any]:
    if isinstance(init, Request):
        return {**_inherited(init), "body": init.body}
    options = {} if init is None else {k: v for k, v in dict(init).items() if v is not None}
    for name in options:
        if name not in _REQUEST_INIT and name not in _BROWSER_OPTIONS:
            raise TypeError(f"unknown option {name!r} of a Request; known: {', '.join(_REQUEST_INIT)}")
    return options


def _absolute_url(resource: object) -> str:
    url = urls.parse(resource)
    href = url.href
    if "@" in href and (url.username or url.password):
        raise TypeError("a Request's URL may not hold a password; send an authorization header instead")
    return href


def _method(method: object) -> str:
    name = str(method)
    if name in _NORMALIZED_METHODS:
        return name
    Headers().append(name, "")  # a method is a token, as a header's name is
    upper = name.upper()
    if upper in _FORBIDDEN_METHODS:
        raise TypeError(f"method {name!r} is not allowed")
    return upper if upper in _NORMALIZED_METHODS else name


def _redirect(mode: object) -> str:
    if mode not in _REDIRECTS:
        raise TypeError(f"redirect must be one of {', '.join(_REDIRECTS)}, not {mode!r}")
    return str(mode)


def _signal(signal: object) -> AbortSignal | Request | None:
    if signal is not None and not isinstance(signal, AbortSignal | Request):
        raise TypeError(f"signal must be an AbortSignal, not {type(signal).__name__}")
    return signal


def _new_signal(held: str | None) -> AbortSignal:
    signal = AbortSignal()
    signal.ambient = held is _AMBIENT
    return signal


def _content_length(headers: Iterable[Iterable[bytes]]) -> int | None:
    value = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(value) if value.isdigit() else None
