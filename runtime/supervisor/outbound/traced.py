"""Outbound fetch as a span of the request it is made for, with which the server asked may go on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from runtime.supervisor.outbound import Outbound, OutboundAnswer
from runtime.supervisor.outbound.rules import RawHeaders
from runtime.supervisor.sockets.asked import asks
from runtime.supervisor.sockets.quota import Quota
from runtime.tracing import NO_SPAN, Span


async def fetch(
    parent: Span, outbound: Outbound, method: str, url: str, headers: RawHeaders, body: Any, redirect: str,
    quota: Quota, deflates: bool,
) -> OutboundAnswer:  # fmt: skip
    """``outbound.fetch``, or ``open`` where the headers ask for a socket. The span ends with the answer's head."""
    if parent is NO_SPAN:
        return await _fetched(outbound, method, url, headers, body, redirect, quota, deflates)
    span = parent.child(method, "client", {"http.request.method": method, **_address(url)})
    try:
        headers = _continued(headers, span.headers)
        answer = await _fetched(outbound, method, url, headers, body, redirect, quota, deflates)
        span.set({"http.response.status_code": answer.status})
        return answer
    finally:
        span.end(sys.exception())


async def _fetched(
    outbound: Outbound, method: str, url: str, headers: RawHeaders, body: Any, redirect: str,
    quota: Quota, deflates: bool,
) -> OutboundAnswer:  # fmt: skip
    if not asks(headers):
        return await outbound.fetch(method, url, headers, body, redirect)
    from runtime.supervisor.outbound.sockets import opened  # most workers have none

    return await opened(outbound, method, url, headers, body, redirect, quota, deflates)


def _address(url: str) -> Mapping[str, Any]:
    """Without name, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return {}
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    return {"url.full": shown, "server.address": host, "server.port": port}


def _continued(headers: RawHeaders, ours: Mapping[str, str]) -> RawHeaders:
    """A worker that passes its client's headers on continues that trace, which is ours; one with its own is left it."""
    theirs = next((value for name, value in headers if name.lower() == b"traceparent"), None)
    own = ours.get("traceparent", "").encode()
    if theirs is not None and theirs.split(b"-")[1:2] != own.split(b"-")[1:2]:
        return headers
    names = {name.encode() for name in ours}
    kept = [(name, value) for name, value in headers if name.lower() not in names]
    return kept + [(name.encode(), value.encode()) for name, value in ours.items()]


__all__ = ["fetch"]
