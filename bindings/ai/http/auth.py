"""Who may use a route: the credentials of a client, and the origin of a page.

Facts: docs/reference/workers-ai.md#credentials.

As upstream, two layers answer: the one in front (credentials, routes) refuses with an ``EdgeError``; the model
layer refuses with a ``ModelError``, and each of its answers carries ``cf-ai-req-id``.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bindings.ai import errors
from bindings.ai.errors import EdgeError, ModelError
from bindings.ai.http import cors
from bindings.ai.http.responses import failed
from bindings.ai.service import new_request_id
from bindings.base import Route
from runtime.web import Headers, Request, Response

ROOT = "/client/v4"
AI_ROOT = ROOT + "/accounts/{account}/ai"

Handler = Callable[..., Awaitable[Response]]  # (request, request_id, **the path's parameters)
Failure = Callable[[ModelError | EdgeError, str], Response]


class Auth(msgspec.Struct, frozen=True):
    """Who may come in. ``token``: the only one accepted (None: any). ``admits``: a host's tokens, which count
    alone, each with the address it comes from.

    ``origins``: whose pages may read what is answered. ``keyless``: where any token would do, none will do as well.
    ``failure`` makes an answer of a refusal: without it, the REST envelope.
    """

    token: str | None = None
    admits: Callable[[str, str], bool] | None = None
    origins: Callable[[], Sequence[str]] = tuple
    keyless: bool = False
    failure: Failure | None = None

    def routes(self, path: str, body_limit: int | None = None, /, **handlers: Handler) -> list[Route]:
        """Guarded routes for ``path``, by method: ``GET=…, POST=…``; any other method is told which there are."""
        served = [
            Route(method, path, self.guarded(handler), body_limit=body_limit) for method, handler in handlers.items()
        ]
        return [*served, Route("*", path, self.guarded(_wrong_method(", ".join(handlers))))]

    def guarded(self, handler: Handler) -> Callable[..., Awaitable[Response]]:
        """``handler`` for who has credentials, and for pages of the origins that may read it."""

        async def answer(request: Request, **path: str) -> Response:
            if not cors.admits(self.origins(), request.headers):
                return await self._answer(handler, request, path)
            if request.method == "OPTIONS" and request.headers.has("access-control-request-method"):
                response = cors.preflight(request.headers)
            else:
                response = await self._answer(handler, request, path)
            return cors.allow(response, request.headers.get("origin"))

        return answer

    async def _answer(self, handler: Handler, request: Request, path: dict[str, str]) -> Response:
        request_id = new_request_id()
        try:
            self.check(request.headers, str((request.cf or {}).get("peer", "")))
            return await handler(request, request_id=request_id, **path)
        except (ModelError, EdgeError) as error:
            return (self.failure or failed)(error, request_id)

    def check(self, headers: Headers, address: str = "") -> None:
        """Raises EdgeError: no credentials (9106), malformed ones (6003), the wrong ones (10000)."""
        if self.keyless and self.token is None and self.admits is None:
            return
        token = credentials(headers)
        if self.admits is not None:
            if not self.admits(token, address):
                raise errors.wrong_token()
            return
        # A header is bytes, read as latin-1; the token came from the environment, as UTF-8.
        if self.token is not None and not hmac.compare_digest(token.encode("latin-1"), os.fsencode(self.token)):
            raise errors.wrong_token()


def credentials(headers: Headers) -> str:
    """The token a client sent. Raises EdgeError 9106 when there is none, 6003 when it is malformed."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" \t")  # not of all white space: 0xA0 may be half a letter
        if scheme.lower() != "bearer" or not token or " " in token:
            raise errors.malformed_credentials()
        return token
    key = headers.get("x-auth-key") if headers.get("x-auth-email") else headers.get("x-auth-user-service-key")
    if not key:
        raise errors.no_credentials()
    return key


def _wrong_method(allowed: str) -> Handler:
    async def refuse(request: Request, **_: str) -> Response:
        raise errors.wrong_method(request.method, allowed)

    return refuse


__all__ = ["AI_ROOT", "ROOT", "Auth", "Failure", "Handler", "credentials"]
