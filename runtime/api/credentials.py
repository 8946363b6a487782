"""Who calls an API: the token of a request, and who may come in where nobody keeps a list of tokens."""

from __future__ import annotations

import hmac
import os

import msgspec
from msgspec.structs import replace

from bindings.base import Route, RouteHandler
from runtime.api import deploy_errors as table
from runtime.api import envelope
from runtime.api.error_code import ErrorCode
from runtime.web import Request, Response


def bearer(request: Request) -> str:
    """The token that a client sent; "" without one."""
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-auth-key") or ""


def locally_guarded(route: Route) -> Route:
    """In ``pilot dev`` any token will do, unless PILOT_API_TOKEN is set."""
    return replace(route, handler=_checked(route.handler)) if route.guarded else route


def refusal(row: ErrorCode, message: str = "", status: int = 0) -> Response:
    """An error in the envelope; ``status``: another than the row's."""
    body = msgspec.json.encode(envelope.failure([{"code": row.code, "message": message or row.text}]))
    return Response(body, status=status or row.status, headers={"content-type": "application/json"})


def _checked(handler: RouteHandler) -> RouteHandler:
    async def checked(request: Request, **path: str) -> Response:
        token, wanted = bearer(request), os.environ.get("PILOT_API_TOKEN")
        if not token:
            return refusal(table.NO_TOKEN)
        # A header is bytes, read as latin-1; the token came from the environment, as UTF-8.
        if wanted and not hmac.compare_digest(token.encode("latin-1"), os.fsencode(wanted)):
            return refusal(table.NOT_ALLOWED)
        return await handler(request, **path)

    return checked


__all__ = ["bearer", "locally_guarded", "refusal"]
