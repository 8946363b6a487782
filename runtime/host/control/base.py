"""What every call of the control API has in common: credentials, envelope, errors, the audit log.

Facts: docs/reference/deploy-api.md#envelope.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from bindings.base import Route, RouteHandler
from runtime.api import bounded_json, envelope
from runtime.api import deploy_errors as table
from runtime.api.credentials import bearer, refusal
from runtime.api.error_code import ErrorCode
from runtime.errors import RequestError, ScriptError, UserError
from runtime.host.fleet import Fleet
from runtime.host.http.hostnames import Hostnames
from runtime.host.store import tokens
from runtime.host.store.rows import AuditRow, TokenRow, now
from runtime.host.store.tally import Tally, shortened
from runtime.host.store.tokens import Scope, TokenAuth
from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.observe.base import Observer
from runtime.web import Request, Response

ROOT = "/client/v4"
ACCOUNT = ROOT + "/accounts/{account}"
WORKERS = ACCOUNT + "/workers"

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}

_COUNT_INTERVAL_S = 5.0  # seconds between two writes of what has been counted
_CLIENT_LEFT = 499  # the status that nginx's log has for it


class Refused(Exception):
    """An error of the table, and the ``message`` of this one."""

    def __init__(self, row: ErrorCode, message: str = "") -> None:
        self.row, self.message = row, message or row.text
        super().__init__(self.message)


class ControlCall(msgspec.Struct, frozen=True):
    """One authenticated call. ``author`` is the token's name."""

    request: Request
    fleet: Fleet
    author: str
    peer: str
    hostnames: Hostnames

    async def json(self) -> Any:
        """The body, whatever its content type says. Raises Refused."""
        try:
            return bounded_json.decode(await self.request.bytes() or b"{}")
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refused(table.INVALID_BODY, f"the body is not valid JSON: {error}") from None


Handler = Callable[..., Awaitable[object]]  # (call, **path) → the result, or a Response
Entry = tuple[str, str, Scope | None, Handler]  # method, path, scope (None: any valid token), handler


class Control:
    """Turns entries into routes. Every call is checked, answered in the envelope and written down."""

    def __init__(self, fleet: Fleet, observer: Observer, hostnames: Hostnames) -> None:
        self._fleet, self._observer, self._hostnames = fleet, observer, hostnames
        self._gate, self._tally = TokenAuth(fleet.registry), Tally()

    def routes(self, entries: Iterable[Entry]) -> list[Route]:
        return [Route(method, path, self._guarded(scope, handler)) for method, path, scope, handler in entries]

    def guard(self, route: Route) -> Route:
        """A product's route, for whose token may read or, if it changes something, deploy; and written down."""

        async def serve(request: Request, who: str, **path: str) -> Response:
            return await route.handler(request, **path)

        return replace(route, handler=self._checked(_scope_for, serve)) if route.guarded else route

    def _holder(self, request: Request) -> TokenRow:
        """Whose token it is: a right one is let in however many wrong ones came from there. Raises Refused."""
        token = bearer(request)
        if not token:
            raise Refused(table.NO_TOKEN)
        row = self._gate.holder(token)
        if row is None:
            raise Refused(table.TOO_MANY_FAILURES if self._gate.failed(_peer(request)) else table.NOT_ALLOWED)
        return row

    def admits(self, token: str, scope: Scope, address: str) -> bool:
        """Whether this token is for that. Raises RequestError when too many wrong ones came from the address."""
        row = self._gate.holder(token)
        status = 200 if row is not None and tokens.allows(row, scope) else 401
        if row is None and self._gate.failed(address):
            status = table.TOO_MANY_FAILURES.status
        self._tally.count(row.name if row else "", address, status, scope)
        if status == table.TOO_MANY_FAILURES.status:
            raise RequestError(status, table.TOO_MANY_FAILURES.text)
        return status == 200

    async def keep_count(self) -> None:
        """For ever: what has been counted is written down every few seconds."""
        while True:
            await asyncio.sleep(_COUNT_INTERVAL_S)
            await self.write_counts()

    async def write_counts(self) -> None:
        if rows := self._tally.take():
            await self._written(self._fleet.registry.add_tallies, rows)

    def _guarded(self, scope: Scope | None, handler: Handler) -> RouteHandler:
        async def serve(request: Request, who: str, **path: str) -> Response:
            call = ControlCall(request, self._fleet, who, _peer(request), self._hostnames)
            done = await handler(call, **path)
            return done if isinstance(done, Response) else ok(done)

        return self._checked(lambda _: scope, serve)

    def _checked(self, scope_for: Callable[[Request], Scope | None], serve: RouteHandler) -> RouteHandler:
        """``serve(request, who, **path)`` for whose token is for that."""

        async def checked(request: Request, **path: str) -> Response:
            who, is_in = "", False
            try:
                row, scope = self._holder(request), scope_for(request)
                who, is_in = row.name, scope is None or tokens.allows(row, scope)
                if not is_in:
                    raise Refused(table.NOT_ALLOWED, f"Authentication error: the token {who!r} has no scope {scope!r}")
                response = await serve(request, who, **path)
            except Exception as error:
                response = self._answer(error)
            except asyncio.CancelledError:  # a change that has had its turn goes on without its client
                await self._write_down(request, who, _CLIENT_LEFT, is_in)
                raise
            await self._write_down(request, who, response.status, is_in)
            return response

        return checked

    def _answer(self, error: Exception) -> Response:
        if isinstance(error, Refused):
            return refusal(error.row, error.message)
        if isinstance(error, IsolateLost):
            return refusal(table.TRY_AGAIN, table.TRY_AGAIN.describe(what=error))
        if isinstance(error, ScriptError):
            return refusal(table.INVALID_SCRIPT, "\n".join(filter(None, [str(error), error.trace])))
        if isinstance(error, RequestError):
            return refusal(table.INVALID_SCRIPT, str(error), error.status)
        if isinstance(error, UserError):
            return refusal(table.INVALID_SCRIPT, str(error))
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            self._observer.error(f"the host's data is in use: {error}")
            return refusal(table.TRY_AGAIN, table.TRY_AGAIN.describe(what=f"The host's data is in use: {error}"))
        if isinstance(error, sqlite3.Error) or (isinstance(error, OSError) and error.errno in _DISK_ERRORS):
            self._observer.error(f"the host's data cannot be written: {error}")
            return refusal(table.CANNOT_WRITE, table.CANNOT_WRITE.describe(error=error))
        self._observer.fault(error)
        return refusal(table.FAULT, table.FAULT.text)

    async def _write_down(self, request: Request, who: str, status: int, is_in: bool) -> None:
        """A change, or a try by one who may; how often all else failed is counted."""
        method, peer = request.method, _peer(request)
        path = "/" + request.url.partition("://")[2].partition("/")[2].partition("?")[0]
        if is_in and method not in ("GET", "HEAD"):
            row = AuditRow(at=now(), token=who, method=method, path=shortened(path), status=status, peer=peer)
            await self._written(self._fleet.registry.audit, row)
        elif status >= 400:
            self._tally.count(who, peer, status, f"{method} {path}")

    async def _written(self, write: Callable[[Any], None], what: object) -> None:
        try:
            await asyncio.to_thread(write, what)
        except sqlite3.Error as error:
            self._observer.error(f"the audit log cannot be written: {error}")


def ok(result: object, status: int = 200, **more: object) -> Response:
    """Cloudflare's envelope of a success; ``more`` stands beside the result (``result_info``)."""
    return _json(envelope.success(result, **more), status)


def _scope_for(request: Request) -> Scope:
    return "read" if request.method in ("GET", "HEAD") else "deploy"


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status=status, headers={"content-type": "application/json"})


def _peer(request: Request) -> str:
    return str((request.cf or {}).get("peer", ""))


__all__ = ["ACCOUNT", "ROOT", "WORKERS", "Control", "ControlCall", "Entry", "Refused", "ok"]
