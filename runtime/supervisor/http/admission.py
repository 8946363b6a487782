"""Which requests the routes of our own answer: those for a name of this machine, and of no page of another site.

Any page that is open in a browser on this machine can have it send requests here. As another origin, without reading
the answers: then the browser says so, in ``Sec-Fetch-Site`` or ``Origin``. Or, once the page's own name has been made
to lead here (DNS rebinding), as if it were ours: then ``Host`` has that name. An address in ``Host`` is no name, and
nobody can make it lead elsewhere. What a worker answers itself is the worker's to protect.

https://www.w3.org/TR/fetch-metadata/ and https://fetch.spec.whatwg.org/#origin-header
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection

from runtime.errors import RequestError
from runtime.supervisor.http.asgi import Headers, Scope
from runtime.supervisor.http.heads import host

ANY_ORIGIN = "*"
_LOOPBACK_NAMES = frozenset({"localhost", "host.docker.internal"})  # the latter is what containers call this machine
_LOOPBACK_SUFFIX = ".localhost"  # RFC 6761, section 6.3


class OwnNames:
    """The names under which our own routes answer. ``configured``: in lower case, besides those that the machine has
    by itself. ``remedy``: what to type for another one, with ``{name}``."""

    def __init__(self, configured: Callable[[], Collection[str]], remedy: str) -> None:
        self._configured, self._remedy = configured, remedy
        self.machine = _LOOPBACK_NAMES | machine_names()

    def has(self, name: str) -> bool:
        """Whether ``name``, in lower case, is one of them."""
        return name in self.machine or name in self._configured()

    def check(self, scope: Scope, origins: Collection[str] | None) -> None:
        """``origins``: those whose pages may ask all the same; None: nothing makes them. Raises RequestError: 400
        without a valid Host, 403."""
        name = hostname(host(scope))
        if not (_is_address(name) or name.endswith(_LOOPBACK_SUFFIX) or self.has(name)):
            remedy = self._remedy.format(name=name)
            raise RequestError(403, f"these routes do not answer to the name {name!r:.80}", remedy=remedy)
        origin = header(scope["headers"], b"origin")
        if _is_foreign(scope, origin) and not ({ANY_ORIGIN, origin} & set(origins or ())):
            page = f"a page of {origin or 'another site'!r:.80} may not use these routes"
            remedy = "" if origins is None else f'If it may:  [pilot] cors = ["{origin or "ORIGIN"}"]'
            raise RequestError(403, page, remedy=remedy)


def hostname(host: str) -> str:
    """Of a Host header: without its port, in lower case; of an IPv6 address without the brackets."""
    name, _, port = host.rpartition(":")
    name = name if name and (port.isdigit() or not port) else host
    return name.lower().removesuffix(".").removeprefix("[").removesuffix("]")


def machine_names() -> frozenset[str]:
    """What this machine calls itself, and is called by mDNS."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"} if short else ())


def header(headers: Headers, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_foreign(scope: Scope, origin: str | None) -> bool:
    """Whether a page of another site has a browser ask, other than by a link that a person followed."""
    site = header(scope["headers"], b"sec-fetch-site")
    if site is None:
        return origin is not None and origin.partition("://")[2] != header(scope["headers"], b"host")
    followed = scope["method"] == "GET" and header(scope["headers"], b"sec-fetch-dest") == "document"
    return site not in ("same-origin", "none") and not followed


__all__ = ["ANY_ORIGIN", "OwnNames", "header", "hostname", "machine_names"]
