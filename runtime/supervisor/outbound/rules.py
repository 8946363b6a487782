"""What may be asked, which headers travel, and where a redirect leads. Fetch standard, section 4.4."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from ada_url import URL
from msgspec.structs import replace

from runtime.supervisor.outbound.bodies import StreamedBody
from runtime.supervisor.outbound.errors import FetchError

RawHeaders = list[tuple[bytes, bytes]]

MAX_REDIRECTS = 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
# Of the request that the worker serves; a site behind Cloudflare refuses them from anyone else.
_EDGE_HEADERS = frozenset({b"cf-connecting-ip", b"cf-ray", b"cf-visitor"})
_BODY_HEADERS = frozenset({
    b"content-encoding", b"content-language", b"content-length", b"content-location", b"content-type",
})  # fmt: skip
_OF_THE_ORIGIN = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
_UNSENT_HEADERS = _EDGE_HEADERS | {b"host"}
_DEFAULT_HEADERS = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
)  # what the worker's side can decode


class Ask(msgspec.Struct, frozen=True):
    method: str
    url: URL
    headers: RawHeaders
    body: bytes | StreamedBody | None
    hops: int = 0
    hop: RawHeaders = []  # of this connection alone

    @property
    def host(self) -> str:
        return self.url.host


def parse(url: str, base: str | None = None) -> URL:
    try:
        parsed = URL(url, base)
    except ValueError:
        raise FetchError(url[:100], "this is not a URL") from None
    if parsed.protocol not in ("http:", "https:"):
        raise FetchError(parsed.host or url[:100], f"{parsed.protocol} is not supported; use http: or https:")
    if parsed.username or parsed.password:
        raise FetchError(parsed.host, "a URL with a password is refused; send an authorization header")
    del parsed.hash
    return parsed


def redirected(ask: Ask, status: int, location: str) -> Ask:
    """The next request. Fetch standard, "HTTP-redirect fetch"."""
    url = parse(location, ask.url.href)
    if ask.hops == MAX_REDIRECTS:
        raise FetchError(ask.host, f"more than {MAX_REDIRECTS} redirects")
    if status != 303 and isinstance(ask.body, StreamedBody):
        cause = f"it redirects ({status}), and a streamed body cannot be sent twice; send bytes instead"
        raise FetchError(ask.host, cause)
    drop = set() if url.origin == ask.url.origin else set(_OF_THE_ORIGIN)
    method, body = ask.method, ask.body
    if (status in (301, 302) and method == "POST") or (status == 303 and method not in ("GET", "HEAD")):
        method, body = "GET", None
        drop |= _BODY_HEADERS
    headers = [pair for pair in ask.headers if pair[0] not in drop]
    return replace(ask, method=method, url=url, headers=headers, body=body, hops=ask.hops + 1)


def sendable(headers: RawHeaders) -> RawHeaders:
    """What goes out: the host comes from the URL, and what the worker did not say has a default."""
    sent = [pair for pair in end_to_end((n.lower(), v) for n, v in headers) if pair[0] not in _UNSENT_HEADERS]
    names = {name for name, _ in sent}
    return sent + [default for default in _DEFAULT_HEADERS if default[0] not in names]


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Without the headers that concern one connection only (RFC 9110, section 7.6.1)."""
    pairs = list(headers)
    named = b",".join(value for name, value in pairs if name == b"connection").lower().split(b",")
    drop = _HOP_BY_HOP.union(name.strip() for name in named)
    return [pair for pair in pairs if pair[0] not in drop]
