"""``fetch``: ask another server. The request itself is made by the transport that the isolate installs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runtime.web.abort import AbortSignal
from runtime.web.request import Request
from runtime.web.response import Response

Transport = Callable[[Request], Awaitable[Response]]
_transport: Transport | None = None


def set_transport(transport: Transport | None) -> None:
    """Install what performs fetches in this process. It raises ``TypeError`` for a network error."""
    global _transport
    _transport = transport


async def fetch(
    resource: Any,
    init: Mapping[str, Any] | Request | None = None,
    *,
    method: str | None = None,
    headers: Any = None,
    body: Any = None,
    signal: AbortSignal | None = None,
    redirect: str | None = None,
    cf: Any = None,
) -> Response:
    """The response of ``resource``: an absolute URL, or a Request. Options as for ``Request``.

    Returns when the headers have come; the body streams. Any status is a response: look at ``ok``. Raises
    ``TypeError`` when there is none (no such host, refused, too many redirects), or the signal's reason.
    """
    request = Request(
        resource, init, method=method, headers=headers, body=body, signal=signal, redirect=redirect, cf=cf
    )
    if _transport is None:
        raise RuntimeError("fetch() can be called only while a worker serves an event")
    watched = request._signal
    if watched is None or watched.ambient:
        return await _transport(request)
    watched.throw_if_aborted()
    response = await watched.race(_transport(request))
    response.watch(watched)
    return response
