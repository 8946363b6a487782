"""``env.ASSETS``, the worker's half: ``await env.ASSETS.fetch(request)``.

https://developers.cloudflare.com/workers/static-assets/binding/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.client import BindingClient
from runtime.web import Request, Response
from runtime.wire import RemoteError


class Fetcher(BindingClient):
    """Answers as the site does, whatever the URL's host. A body that nobody reads passes the worker by."""

    product = "Fetcher"

    async def fetch(self, resource: object, init: Mapping[str, Any] | None = None, **options: Any) -> Response:
        """``resource``: a URL or a ``Request``; ``init``: its method and headers. Raises ``TypeError``."""
        request = resource if isinstance(resource, Request) else Request(resource, init, **options)
        if request is resource and (init is not None or options):
            request = Request(resource, init, **options)
        parts = request.method, request.url, request.headers.raw(), request.redirect
        try:
            answer = await self._caller.call("fetch", *parts)
        except RemoteError as error:
            raise TypeError(error.message) from None
        status, headers, url, body = answer if isinstance(answer, list) else (*answer.meta["head"], answer)
        return Response.from_parts(status, "", headers, body, url=url, redirected=url != request.url)


__all__ = ["Fetcher"]
