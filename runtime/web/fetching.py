"""``fetch``: ask another server. The request itself is made by the transport that the isolate installs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runtime.web.abort import AbortSignal
from runtime.web.request import Request, RequestInit
from runtime.web.response import Response

Transport = Callable[[Request], Awaitable[Response]]
_transport: Transport | None = None


def set_transport(transport: Transport | None) -> None:
    """Install what performs fetches in this process. It raises ``TypeError`` for a network error."""
    global _transport
    _transport = transport


async def fetch(
    resource: object,
    init: RequestInit | None = None,
    *,
    method: str | None = None,
    headers: object = None,
    body: object = None,
    signal: AbortSignal | None = None,
    redirect: str | None = None,
    cf: object = None,
    fetcher: Callable[[Request], Awaitable[Response]] | None = None,
    **others: object,
) -> Response:
    """The response of ``resource``: an absolute URL, or a Request. Options as for ``Request``; ``fetcher`` asks in its
    place, such as ``env.AUTH.fetch``.

    Returns when the headers have come; the body streams. Any status is a response: look at ``ok``. Raises
    ``TypeError`` when there is none (no such host, refused, too many redirects), or the signal's reason.
    """
    request = Request(
        resource, init, method=method, headers=headers, body=body, signal=signal, redirect=redirect, cf=cf, **others
    )
    if fetcher is not None:
        return await fetcher(request)
    if _transport is None:
        raise RuntimeError("fetch() can be called only while a worker serves an event")
    return await send(request, _transport)


async def send(request: Request, transport: Transport) -> Response:
    """What ``transport`` answers, for as long as the request's signal, if somebody watches it, does not abort."""
    if not request.watched:
        return await transport(request)
    request.signal.throw_if_aborted()
    response = await request.signal.race(transport(request))
    if not request.signal.ambient:  # whose end is the body's in any case
        response.watch(request.signal)
    return response
