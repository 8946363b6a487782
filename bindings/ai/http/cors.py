"""Which pages of other origins may use these routes: the CORS protocol of the Fetch standard.

Off by default: then what such a page asks is refused (``runtime/supervisor/http/admission.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from runtime.errors import ConfigError
from runtime.web import Headers, Response

ANY_ORIGIN = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+")  # a browser extension's too
EXPOSED_HEADERS = ", ".join((
    "cf-ai-req-id", "cf-ai-neurons", "cf-ai-stand-in", "cf-aig-log-id", "cf-aig-cache-status", "cf-aig-step",
    "cf-aig-event-id",
))  # fmt: skip
MAX_AGE_S = "600"  # for which a browser need not ask again


def check(origins: Iterable[str], where: str) -> tuple[str, ...]:
    """The origins of a configuration. Raises ConfigError for what no browser would send as one."""
    for origin in origins:
        if origin != ANY_ORIGIN and not ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"{origin!r} is not an origin",
                where=where,
                remedy=(
                    'Write scheme, host and port as browsers do:  cors = ["http://localhost:3000"]\n'
                    'or, for every page that anyone opens beside it:  cors = ["*"]'
                ),
            )
    return tuple(origins)


def admits(origins: Iterable[str], headers: Headers) -> bool:
    """Whether the request's page is of an origin named in ``origins``."""
    origin = headers.get("origin")
    return origin is not None and any(allowed in (ANY_ORIGIN, origin) for allowed in origins)


def preflight(headers: Headers) -> Response:
    """The answer to a browser that asks whether it may."""
    response = Response(None, status=204)
    response.headers.set("access-control-allow-methods", headers.get("access-control-request-method"))
    if names := headers.get("access-control-request-headers"):
        response.headers.set("access-control-allow-headers", names)
    if headers.get("access-control-request-private-network") == "true":
        response.headers.set("access-control-allow-private-network", "true")
    response.headers.set("access-control-max-age", MAX_AGE_S)
    return response


def allow(response: Response, origin: str | None) -> Response:
    """The response, for a page of ``origin`` to read."""
    response.headers.set("access-control-allow-origin", origin)
    response.headers.set("access-control-expose-headers", EXPOSED_HEADERS)
    response.headers.append("vary", "Origin")
    return response


__all__ = ["admits", "allow", "check", "preflight"]
