"""The heads of messages: what of a request's is refused, and what of an answer's is not the worker's to say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain, compress
from typing import Any, NamedTuple

from runtime.errors import RequestError, ScriptError
from runtime.supervisor.http.asgi import Body, Headers, Scope

BODYLESS_STATUSES = frozenset({204, 205, 304})
MAX_HEADERS_BYTES = 128 * 1024  # bytes of a request's or a response's headers; on Workers too
_MAX_HEADERS = 1000  # of one message
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(:[0-9]*)?")
_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2, as the Fetch standard writes it
_MAX_KNOWN_HOST = 300  # bytes; a hostname has 253 at most
_MAX_KNOWN_BYTES = 1000  # of the names of an answer's headers
_MAX_DIGITS = 19  # of a length: 2**63 has as many
_FORWARDED = b"x-forwarded-for", b"x-forwarded-proto"
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONNECTION_HEADERS = frozenset({
    b"connection", b"date", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip


class ToTheEnd(int):
    """The length of a body that ends with its connection, as uvicorn's counting of bytes has it: never too short or
    too long."""

    def __lt__(self, other: int) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return False

    def __sub__(self, other: int) -> ToTheEnd:
        return self


class _Unheard(list[Any]):
    def append(self, field: object) -> None:
        pass


TRAILERS = _Unheard()
"""Where the fields behind a body go: in a request's headers a client could say there who it is."""


def host(scope: Scope, named: Mapping[bytes, bytes] | None = None) -> str:
    """Whom the request is for. RFC 9112, section 3.2: without exactly one valid Host it is refused with 400. ``named``:
    the headers by name, where they are at hand."""
    if named is not None and len(named) == len(scope["headers"]) and (known := _host(named.get(b"host", b""))):
        return known
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts and scope["http_version"] == "1.0" and scope["server"] is not None:
        return "{}:{}".format(*scope["server"])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise RequestError(400, f"a request needs one valid Host header; this one has {len(hosts) or 'none'}"
                           + "".join(f" {value.decode('latin-1')!r:.80}" for value in hosts[:3]))  # fmt: skip
    return hosts[0].decode("latin-1")


@lru_cache(256)  # the same few, again and again
def _host(value: bytes) -> str:
    """Empty for what is none."""
    return value.decode("latin-1") if len(value) < _MAX_KNOWN_HOST and _HOST.fullmatch(value) else ""


def check_size(headers: Headers) -> None:
    if sum(map(len, chain.from_iterable(headers))) > MAX_HEADERS_BYTES:
        raise RequestError(431, f"the request's headers are over {MAX_HEADERS_BYTES} bytes")


def is_forwarded(scope: Scope) -> bool:
    """Whether a proxy says of the request whom it is from."""
    for name, _ in scope["headers"]:  # noqa: SIM110  (a generator costs as much as all of it)
        if name in _FORWARDED:
            return True
    return False


def without_upgrade(connection: bytes) -> bytes:
    """The value of a header ``connection`` that asks for no upgrade."""
    tokens = (token.strip() for token in connection.split(b","))
    return b", ".join(token for token in tokens if token.lower() != b"upgrade")


def retold(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """A request's head again, without its wish for an upgrade."""
    line = b"%b %b HTTP/%b\r\n" % (method, url, version.encode())
    plain = ((name, without_upgrade(value) if name == b"connection" else value) for name, value in headers)
    return b"".join((line, *(b"%b: %b\r\n" % pair for pair in plain), b"\r\n"))


def pairs(headers: object) -> Headers:
    """The headers that a worker sends, as its process gave them. Raises ``ScriptError``."""
    if not isinstance(headers, list) or len(headers) > _MAX_HEADERS:
        raise ScriptError(f"more than {_MAX_HEADERS} headers")
    try:
        sent = [(name, value) for name, value in headers]
        size = len(b"".join(chain.from_iterable(sent)))
    except (TypeError, ValueError):
        raise ScriptError("headers that are none") from None
    if size > MAX_HEADERS_BYTES:
        raise ScriptError(f"headers of {size} bytes; {MAX_HEADERS_BYTES} are allowed")
    return sent


def head(method: str, status: int, headers: Headers, body: Body) -> Headers:
    """The headers to send. Lengths are the runtime's to say, and so is what concerns the connection: two
    lengths that disagree would let one answer pass for two. Raises ``ScriptError`` for what HTTP cannot carry.
    """
    if not 200 <= status <= 599:
        raise ScriptError(f"a response's status must be 200 to 599, not {status}")
    names = tuple([name for name, _ in headers])
    plan = _known_plan(names) if sum(map(len, names)) <= _MAX_KNOWN_BYTES else _plan(names)
    if _CONTROL.search(b"".join([value for _, value in headers])):
        raise _controlled(headers)
    keep_length = (method == "HEAD" or body is not None) and status not in BODYLESS_STATUSES
    keep_length = keep_length and all(_is_length(headers[at][1]) for at in plan.lengths)
    sent = list(compress(headers, plan.with_length if keep_length else plan.without_length))
    if status == 205 or (body is None and method != "HEAD" and status not in BODYLESS_STATUSES):
        sent.append((b"content-length", b"0"))
    is_events = [at for at in plan.types if headers[at][1].startswith(b"text/event-stream")]
    return _uncached(sent) if is_events else sent


def lines_of(status: int, headers: Any, length: int | None) -> bytes | None:
    """The head of an answer to a GET, as its process gave it, behind the lines that are every answer's and before the
    body; None where that needs more than a look. ``length``: bytes of the body, -1 where there is none; None: it comes
    in chunks. Raises ``ScriptError``."""
    try:
        flat: tuple[bytes, ...] = tuple(chain.from_iterable(headers))
        if len(b"".join(flat)) > _MAX_KNOWN_BYTES:
            return None
    except TypeError:
        raise ScriptError("headers that are none") from None
    return _known_lines(status, flat, len(headers), length)


@lru_cache(1024)  # the same few, again and again
def _known_lines(status: int, flat: tuple[bytes, ...], count: int, length: int | None) -> bytes | None:
    if len(flat) != 2 * count:
        return None
    body = None if length == -1 else b""
    sent = head("GET", status, pairs([[*pair] for pair in zip(flat[::2], flat[1::2], strict=True)]), body)
    lengths = [value for name, value in sent if name == b"content-length"]
    if status in BODYLESS_STATUSES:
        return None
    if length is None and not lengths:
        sent.append((b"transfer-encoding", b"chunked"))
    elif length is None or len(lengths) != 1 or int(lengths[0]) != max(0, length):
        return None
    return b"\r\n".join((*map(b": ".join, sent), b"", b""))


def within_prefix(headers: Headers) -> Headers:
    """Of an answer below a worker's prefix: no service worker of its pages may have the origin's other paths."""
    return [pair for pair in headers if pair[0] != b"service-worker-allowed"]


class _Plan(NamedTuple):
    """Which headers of an answer are sent, and where they are that their values matter of."""

    with_length: list[bool]
    without_length: list[bool]
    lengths: list[int]
    types: list[int]


def _plan(names: tuple[bytes, ...]) -> _Plan:
    """Raises ``ScriptError`` for what is no name."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise ScriptError(f"{name.decode('latin-1')!r:.80} cannot be the name of a header")
    sent = [name not in _CONNECTION_HEADERS for name in names]
    lengths = [at for at, name in enumerate(names) if name == b"content-length"]
    types = [at for at, name in enumerate(names) if name == b"content-type"]
    return _Plan(sent, [kept and at not in lengths for at, kept in enumerate(sent)], lengths, types)


_known_plan = lru_cache(1024)(_plan)  # the same few, again and again


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= _MAX_DIGITS


def _controlled(headers: Headers) -> ScriptError:
    name, value = next(pair for pair in headers if _CONTROL.search(pair[1]))
    return ScriptError(f"header {name.decode('latin-1')!r} has a control character: {value!r:.80}")


def _uncached(headers: Headers) -> Headers:
    """Server-sent events are for now: no cache keeps them, no proxy holds them back."""
    names = {name for name, _ in headers}
    extra = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    return [*headers, *(pair for pair in extra if pair[0] not in names)]
