"""What Cloudflare's edge tells a worker of a request besides what the client sent. Made when someone asks."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

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
_OF_HTTP, _OF_HTTPS = (
    ((b"cf-visitor", b'{"scheme":"%b"}' % scheme), (b"x-forwarded-proto", scheme)) for scheme in (b"http", b"https")
)
_RAY = b"%016x-DFW"
_rays = random.Random()  # not the worker's, which it may seed; nor that of another fork
os.register_at_fork(after_in_child=_rays.seed)
_NO_CLIENT_CERTIFICATE = {"certPresented": "0", "certVerified": "NONE", "certRevoked": "0"}


class Edge:
    """An incoming request's headers, and its ``cf``. ``origin``: the client's address, the version of
    HTTP it speaks, and the path prefix that the worker does not see."""

    __slots__ = ("_headers", "_origin", "_url")

    def __init__(self, headers: RawHeaders, url: str, origin: list[str]) -> None:
        self._headers, self._url, self._origin = headers, url, origin

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.raw())

    def raw(self) -> RawHeaders:
        """No client can say of itself what the edge says of it."""
        headers = [(name, value) for name, value in self._headers if name not in _EDGE_HEADERS]
        if address := self._origin[0].encode():
            headers += (b"cf-connecting-ip", address), (b"x-real-ip", address)
        known = _OF_HTTPS if self._url.startswith("https:") else _OF_HTTP
        headers += (b"cf-ray", _RAY % _rays.getrandbits(64)), *known
        return headers

    def cf(self) -> JsDict:
        """``request.cf``."""
        accepts = next((value for name, value in self._headers if name == b"accept-encoding"), b"")
        return JsDict(
            _DEFAULT_LOCATION, httpProtocol=f"HTTP/{self._origin[1]}", clientAcceptEncoding=accepts.decode("latin-1"),
            tlsVersion="TLSv1.3" if self._url.startswith("https:") else "", tlsCipher="", clientTcpRtt=0,
            requestPriority="", edgeRequestKeepAliveStatus=1, tlsClientAuth=JsDict(_NO_CLIENT_CERTIFICATE),
        )  # fmt: skip


__all__ = ["Edge"]
