"""What a product answers to another worker, ahead of the worker that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bindings.responder import RequestHead, Responder
from runtime.supervisor.calls.call import ServiceAnswer, ServiceRequest


async def answered(responders: Sequence[Responder], request: ServiceRequest) -> ServiceAnswer | None:
    """None: it is the worker's to answer."""
    url = urlsplit(request.url)
    head = RequestHead(request.method, url.scheme, url.netloc, url.path or "/", url.query, request.headers)
    for responder in responders:
        if (answer := await responder.answer(head)) is not None:
            size = len(answer.body) if isinstance(answer.body, bytes) else answer.body.length
            headers = [*answer.headers, *([] if answer.status == 304 else [(b"content-length", b"%d" % size)])]
            return ServiceAnswer(answer.status, "", headers, answer.body)
    return None


__all__ = ["answered"]
