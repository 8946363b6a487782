"""What every call of the control API has in common: credentials, envelope, errors, the audit log.

Facts: docs/reference/deploy-api.md#envelope.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from bindings.base import Route
from runtime.api import deploy_errors as table
from runtime.api import envelope
from runtime.api.error_code import ErrorCode
from runtime.errors import RequestError, ScriptError, UserError
from runtime.host.fleet import Fleet
from runtime.host.http.hostnames import Hostnames
from runtime.host.store import tokens
from runtime.host.store.rows import AuditRow, TokenRow, now
from runtime.host.store.tokens import Scope, TokenAuth
from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.observe.base import Observer
from runtime.web import Request, Response

ROOT = "/client/v4"
ACCOUNT = ROOT + "/accounts/{account}"
WORKERS = ACCOUNT + "/workers"

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class Refused(Exception):
    """An error of the table, and the ``message`` of this one."""

    def __init__(self, row: ErrorCode, message: str = "") -> None:
        self.row, self.message = row, message or row.text
        super().__init__(self.message)


@dataclass(frozen=True)
class ControlCall:
    """One authenticated call. ``author`` is the token's name."""

    request: Request
    fleet: Fleet
    author: str
    peer: str
    hostnames: Hostnames

    async def json(self) -> Any:
        """The body, whatever its content type says. Raises Refused."""
        try:
            return msgspec.json.decode(await self.request.bytes() or b"{}")
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refused(table.INVALID_BODY, f"the body is not valid JSON: {error}") from None


Handler = Callable[..., Awaitable[object]]  # (call, **path) → the result, or a Response
Entry = tuple[str, str, Scope | None, Handler]  # method, path, scope (None: any valid token), handler


class Control:
    """Turns entries into routes. Every call is checked, answered in the envelope and written down."""

    def __init__(self, fleet: Fleet, observer: Observer, hostnames: Hostnames) -> None:
        self._fleet, self._observer, self._hostnames = fleet, observer, hostnames
        self._gate = TokenAuth(fleet.registry)

    def routes(self, entries: Iterable[Entry]) -> list[Route]:
        return [Route(method, path, self._guarded(scope, handler)) for method, path, scope, handler in entries]

    def authorize(self, request: Request, scope: Scope | None) -> TokenRow:
        """Whose token it is. Raises Refused."""
        peer = _peer(request)
        if self._gate.blocked(peer):
            raise Refused(table.TOO_MANY_FAILURES)
        token = _bearer(request)
        if not token:
            raise Refused(table.NO_TOKEN)
        row = self._gate.holder(token)
        if row is None:
            self._gate.failed(peer)
            raise Refused(table.NOT_ALLOWED)
        if scope is not None and not tokens.allows(row, scope):
            raise Refused(table.NOT_ALLOWED, f"Authentication error: the token {row.name!r} has no scope {scope!r}")
        return row

    def admits(self, token: str, scope: Scope) -> bool:
        """Whether this token is for that."""
        row = self._gate.holder(token)
        return row is not None and tokens.allows(row, scope)

    def _guarded(self, scope: Scope | None, handler: Handler) -> Any:
        async def guarded(request: Request, **path: str) -> Response:
            who, response = "", None
            try:
                who = self.authorize(request, scope).name
                call = ControlCall(request, self._fleet, who, _peer(request), self._hostnames)
                done = await handler(call, **path)
                response = done if isinstance(done, Response) else ok(done)
            except Exception as error:
                response = self._answer(error)
            await self._write_down(request, who, response.status)
            return response

        return guarded

    def _answer(self, error: Exception) -> Response:
        if isinstance(error, Refused):
            return refused(error.row, error.message)
        if isinstance(error, IsolateLost):
            return refused(table.TRY_AGAIN, table.TRY_AGAIN.describe(what=error))
        if isinstance(error, ScriptError):
            return refused(table.INVALID_SCRIPT, "\n".join(filter(None, [str(error), error.trace])))
        if isinstance(error, RequestError):
            return refused(table.INVALID_SCRIPT, str(error), error.status)
        if isinstance(error, UserError):
            return refused(table.INVALID_SCRIPT, str(error))
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            self._observer.error(f"the host's data is in use: {error}")
            return refused(table.TRY_AGAIN, table.TRY_AGAIN.describe(what=f"The host's data is in use: {error}"))
        if isinstance(error, sqlite3.Error) or (isinstance(error, OSError) and error.errno in _DISK_ERRORS):
            self._observer.error(f"the host's data cannot be written: {error}")
            return refused(table.CANNOT_WRITE, table.CANNOT_WRITE.describe(error=error))
        self._observer.fault(error)
        return refused(table.FAULT, table.FAULT.text)

    async def _write_down(self, request: Request, who: str, status: int) -> None:
        if request.method in ("GET", "HEAD") and status < 400:
            return
        path = request.url.partition("://")[2].partition("/")[2].partition("?")[0]
        row = AuditRow(at=now(), token=who, method=request.method, path="/" + path, status=status, peer=_peer(request))
        try:
            await asyncio.to_thread(self._fleet.registry.audit, row)
        except sqlite3.Error as error:
            self._observer.error(f"the audit log cannot be written: {error}")


def ok(result: object, status: int = 200, **more: object) -> Response:
    """Cloudflare's envelope of a success; ``more`` stands beside the result (``result_info``)."""
    return _json(envelope.success(result, **more), status)


def refused(row: ErrorCode, message: str, status: int = 0) -> Response:
    """``status``: another than the row's."""
    return _json(envelope.failure([{"code": row.code, "message": message}]), status or row.status)


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status=status, headers={"content-type": "application/json"})


def _bearer(request: Request) -> str:
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-auth-key") or ""


def _peer(request: Request) -> str:
    return str((request.cf or {}).get("peer", ""))


__all__ = ["ACCOUNT", "ROOT", "WORKERS", "Control", "ControlCall", "Entry", "Refused", "ok", "refused"]
