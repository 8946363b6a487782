"""Kept mail, for the explorer: ``email/kept/WORKER`` and ``email/kept/WORKER/NAME.eml``. Cloudflare has no such API."""

from __future__ import annotations

from bindings.base import ProductContext
from bindings.email.product import mailboxes
from bindings.email.store import Mailbox
from bindings.rest import Api, ApiError, Listed, number_of, query_of
from runtime.web import Request, Response

_NOT_THERE = 10007


def api(context: ProductContext) -> Api:
    found = mailboxes(context)

    def mailbox(worker: str) -> Mailbox:
        if (one := found.find(worker)) is None:
            raise ApiError(404, _NOT_THERE, "no mail is kept for a worker of that name")
        return one

    async def listed(request: Request, worker: str) -> object:
        query = query_of(request)
        page, size = number_of(query, "page", 1, 1, 10**6), number_of(query, "per_page", 100, 1, 100)
        rows, total = await mailbox(worker).listed((page - 1) * size, size)
        info = {"page": page, "per_page": size, "count": len(rows), "total_count": total}
        return Listed([row._asdict() for row in rows], info)

    async def one(request: Request, worker: str, name: str) -> Response:
        if (content := await mailbox(worker).read(name)) is None:
            raise ApiError(404, _NOT_THERE, "no such message is kept")
        return Response(content, headers={"content-type": "message/rfc822", "cache-control": "no-store"})

    return Api("email/kept", [("GET", "{worker}", listed), ("GET", "{worker}/{name}", one)])


__all__ = ["api"]
