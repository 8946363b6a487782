"""Requests that a product answers ahead of the worker."""

from __future__ import annotations

from collections.abc import Sequence

from bindings.responder import RequestHead, Responder
from runtime.supervisor.http.asgi import Scope
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.http.heads import check_size, host


async def answered_ahead(responders: Sequence[Responder], exchange: Exchange) -> bool:
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


__all__ = ["answered_ahead"]
