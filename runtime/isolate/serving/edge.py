"""What Cloudflare's edge tells a worker of a request besides what the client sent. Made when someone asks."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from runtime.values import JsDict
from runtime.web.headers import RawHeaders

_EDGE_HEADERS = frozenset({
    b"cf-connecting-ip", b"cf-connecting-ipv6", b"cf-ray", b"cf-visitor", b"x-forwarded-proto", b"x-real-ip",
})  # fmt: skip
_DEFAULT_LOCATION = {  # where nobody knows the client's place: what wrangler dev says offline
    "colo": "DFW", "country": "US", "city": "Austin", "continent": "NA", "region": "Texas", "regionCode": "TX",
    "metroCode": "635", "postalCode": "78701", "timezone": "America/Chicago", "latitude": "30.27130",
    "longitude": "-97.74260", "asn": 395747, "asOrganization": "",
}  # fmt: skip
_NO_CLIENT_CERTIFICATE = {"certPresented": "0", "certVerified": "NONE", "certRevoked": "0"}


class Edge:
    """An incoming request's headers, as an iterable, and its ``cf``. ``origin``: the client's address, the version of
    HTTP it speaks, and the path prefix that the worker does not see."""

    __slots__ = ("_headers", "_origin", "_url")

    def __init__(self, headers: RawHeaders, url: str, origin: list[str]) -> None:
        self._headers, self._url, self._origin = headers, url, origin

    def __iter__(self) -> Iterator[Iterable[bytes]]:
        """No client can say of itself what the edge says of it."""
        yield from (pair for pair in self._headers if pair[0] not in _EDGE_HEADERS)
        scheme = self._url.partition(":")[0].encode()
        if address := self._origin[0].encode():
            yield from ((b"cf-connecting-ip", address), (b"x-real-ip", address))
        yield b"cf-ray", f"{secrets.token_hex(8)}-{_DEFAULT_LOCATION['colo']}".encode()
        yield b"cf-visitor", b'{"scheme":"%b"}' % scheme
        yield b"x-forwarded-proto", scheme

    def cf(self) -> JsDict:
        """``request.cf``."""
        accepts = next((value for name, value in self._headers if name == b"accept-encoding"), b"")
        return JsDict(
            _DEFAULT_LOCATION, httpProtocol=f"HTTP/{self._origin[1]}", clientAcceptEncoding=accepts.decode("latin-1"),
            tlsVersion="TLSv1.3" if self._url.startswith("https:") else "", tlsCipher="", clientTcpRtt=0,
            requestPriority="", edgeRequestKeepAliveStatus=1, tlsClientAuth=JsDict(_NO_CLIENT_CERTIFICATE),
        )  # fmt: skip


__all__ = ["Edge"]
