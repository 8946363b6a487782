"""What products answer ahead of a worker, to a client or to another worker."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bindings.responder import RequestHead, Responder
from runtime.supervisor.calls.call import ServiceAnswer, ServiceRequest
from runtime.supervisor.http.asgi import Scope
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.http.heads import check_size, host


async def answered(responders: Sequence[Responder], exchange: Exchange) -> bool:
    """Whether one of them has answered it. Raises RequestError for a head that no worker would get either."""
    head = _head(exchange.scope)
    for responder in responders:
        if (answer := await responder.answer(head)) is not None:
            await exchange.answer_whole(*answer)
            return True
    return False


def _head(scope: Scope) -> RequestHead:
    headers = scope["headers"]
    check_size(headers)
    return RequestHead(
        scope["method"], scope["scheme"], host(scope), scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"), headers, scope["root_path"],
    )  # fmt: skip


async def answered_service(responders: Sequence[Responder], request: ServiceRequest) -> ServiceAnswer | None:
    """What one of them answers to another worker; None: it is the worker's to answer."""
    url = urlsplit(request.url)
    head = RequestHead(request.method, url.scheme, url.netloc, url.path or "/", url.query, request.headers)
    for responder in responders:
        if (answer := await responder.answer(head)) is not None:
            size = len(answer.body) if isinstance(answer.body, bytes) else answer.body.length
            headers = [*answer.headers, *([] if answer.status == 304 else [(b"content-length", b"%d" % size)])]
            return ServiceAnswer(answer.status, "", headers, answer.body)
    return None


__all__ = ["answered", "answered_service"]
