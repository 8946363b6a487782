"""From an ASGI scope to the worker and back: errors become answers, answers become a line in the log."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from runtime.errors import RequestError, ScriptError, UserError
from runtime.supervisor.http import pages
from runtime.supervisor.http.asgi import Headers, Receive, Scope, Send
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.limits import IsolateLost, LimitExceeded
from runtime.supervisor.observe.base import BROKE_OFF, RequestRecord
from runtime.tracing import NO_SPAN, current

if TYPE_CHECKING:
    from runtime.supervisor.observe.base import Observer
    from runtime.supervisor.telemetry.metrics import Requests
    from runtime.supervisor.telemetry.tracing import Tracer

_PROBE = pages.PROBE_HEADER.encode()
_MIN_TOKENS_FOR_SPEED = 5  # tokens below which a speed means nothing


Handler = Callable[["Exchange"], Awaitable[None]]
Answered = Callable[["Exchange"], None]
Serve = Callable[["Exchange", Handler], Awaitable[None]]


class Fetcher(Protocol):
    """A version of a worker, as a request sees it."""

    def fetch(self, exchange: Exchange) -> Awaitable[None]: ...


class Ready(Protocol):
    """One that asks without a task."""

    def ask(self, exchange: Exchange, told: Answered, serve: Serve) -> bool:
        """Have a process asked in this turn. False: nothing has happened, ``fetch`` knows what to do. Else
        ``told(exchange)`` is called once all is over, or ``serve(exchange, handler)`` where that takes a task."""


class Versions(Protocol):
    """Which version answers."""

    @property
    def version(self) -> int:
        """Of what an error page shows."""

    @property
    def broken(self) -> UserError | None:
        """Why the newest code does not answer."""

    @property
    def body_limit(self) -> int: ...

    @property
    def ready(self) -> Ready | None:
        """The version for any request; None: that takes more than a look."""

    async def current(self, headers: Headers) -> Fetcher:
        """The version for a request with these headers. Raises ``UserError`` when there is none."""


class Dispatch:
    """The ASGI application that is the worker. ``public``: an answer tells a stranger nothing of what broke.
    ``worker``: its name, where the log has those of others too."""

    def __init__(
        self,
        versions: Versions,
        observer: Observer,
        requests: Requests,
        tracer: Tracer,
        *,
        public: bool = False,
        worker: str | None = None,
    ) -> None:
        self._versions, self._public, self._name = versions, public, worker
        self._observer, self._requests, self._tracer = observer, requests, tracer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        limit = self._versions.body_limit
        try:
            exchange = Exchange(scope, receive, send, limit)
        except (RequestError, ValueError) as error:
            exchange = Exchange({**scope, "headers": []}, receive, send, limit)
            status = error.status if isinstance(error, RequestError) else 400
            return self._refuse(exchange, status, error if isinstance(error, UserError) else str(error))
        return self.serve(exchange, self._worker)

    def at_once(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether a process has been asked, without a task. False: nothing has happened, call this as an application.
        That is so wherever a body is still to come, or there is more to know of the request than the version."""
        version = self._versions.ready
        if version is None or self._public or self._tracer.on:
            return False
        try:
            exchange = Exchange(scope, receive, send, self._versions.body_limit)
            if not (exchange.inbound.done or exchange.has_whole_body()) or _PROBE in exchange.named:
                return False
            return version.ask(exchange, self._log, self.serve)
        except (RequestError, ValueError):  # it is refused the long way
            return False

    async def serve(self, exchange: Exchange, handler: Handler) -> None:
        """Run ``handler(exchange)`` to its end, whatever that is."""
        if (span := self._tracer.request(exchange.scope)) is not NO_SPAN:
            exchange.span = span
            current.set(span)
        try:
            await handler(exchange)
        except asyncio.CancelledError:
            if not exchange.left:  # the server ends, and had no more time
                exchange.note = BROKE_OFF
                self._log(exchange)
                raise
            exchange.note = "client left"
        except RequestError as error:
            return await self._refuse(exchange, error.status, error)
        except UserError as error:
            self._tell(error)
            if self._public:
                return await self._refuse_in_public(exchange, error)
            return await self._refuse(exchange, 500, error)
        except ConnectionError:
            exchange.note = "client left"
        except Exception as error:
            await self._fault(exchange, error)
        self._log(exchange)

    async def _worker(self, exchange: Exchange) -> None:
        if not self._public:
            broken = self._versions.broken
            if _PROBE in exchange.named:
                return await self._probe(exchange)
            if broken is not None and _is_browser(exchange):
                return await self._answer(exchange, 500, broken)
        if not exchange.has_whole_body():
            await exchange.inbound.read_small()
        version = await self._versions.current(exchange.scope["headers"])
        await version.fetch(exchange)

    async def _probe(self, exchange: Exchange) -> None:
        """An open error page asks whether what it shows is still so."""
        version = _header(exchange, _PROBE)
        same = version == str(self._versions.version)
        await exchange.answer(204, [(pages.ERROR_HEADER.encode(), b"1")] if same else [], None)
        exchange.quiet = True

    def _tell(self, error: UserError) -> None:
        if isinstance(error, ScriptError):
            self._observer.script_error(error, self._name)
        else:
            self._observer.error(str(error), self._name)

    async def _fault(self, exchange: Exchange, error: BaseException) -> None:
        request_id = str(uuid.uuid4())
        self._observer.fault(error, request_id)
        if exchange.status:
            exchange.note = BROKE_OFF
        else:
            await self._answer(exchange, 500, "Something went wrong in the runtime, not in the worker.", request_id)

    async def _refuse(self, exchange: Exchange, status: int, error: UserError | str) -> None:
        if exchange.status:
            exchange.note = BROKE_OFF
        else:
            await self._answer(exchange, status, error)
        self._log(exchange)

    async def _refuse_in_public(self, exchange: Exchange, error: UserError) -> None:
        """The log has the error; the client gets an id to ask after it."""
        if exchange.status:
            exchange.note = BROKE_OFF
        else:
            request_id = str(uuid.uuid4())
            self._observer.note(f"request {request_id}: the error above")
            await self._answer(exchange, *_in_public(error), request_id)
        self._log(exchange)

    async def _answer(self, exchange: Exchange, status: int, error: UserError | str, request_id: str = "") -> None:
        trace = getattr(error, "trace", "")
        title = "The worker failed" if status >= 500 else "The request was refused"
        if pages.wants_html(_header(exchange, b"accept")):
            kind, body = (
                b"text/html; charset=utf-8",
                pages.error_page(title, error, trace, request_id, version=self._versions.version),
            )
        else:
            kind = b"text/plain; charset=utf-8"
            body = pages.error_text(title, error, trace, request_id)
        length = b"%d" % len(body)
        headers = [(b"content-type", kind), (b"content-length", length), (b"cache-control", b"no-store")]
        await exchange.answer(status, [*headers, (pages.ERROR_HEADER.encode(), b"1")], body)

    def _log(self, exchange: Exchange) -> None:
        if exchange.span is not NO_SPAN:
            self._end(exchange)
        if exchange.quiet:
            return
        seconds, status = time.perf_counter() - exchange.started, exchange.status or 499
        self._requests.answered(exchange.method, status, seconds)
        if self._observer.shows(self._observer.level_of(status, exchange.note)):
            self._line(exchange, status, seconds)

    def _end(self, exchange: Exchange) -> None:
        """The request's span."""
        exchange.span.set({"http.response.status_code": exchange.status or None, "pilot.note": exchange.note})
        exchange.span.end(str(exchange.status) if exchange.status >= 500 or exchange.note == BROKE_OFF else None)

    def _line(self, exchange: Exchange, status: int, seconds: float) -> None:
        stats = exchange.stats if status < 500 else None
        first = None if exchange.first is None else exchange.first * 1000
        tokens = stats.tokens if stats is not None else None
        speed = None
        if stats is not None and stats.first is not None and stats.tokens >= _MIN_TOKENS_FOR_SPEED:
            speed = (stats.tokens - 1) / max(seconds - stats.first, 1e-6)
        record = RequestRecord(
            exchange.method, exchange.scope["root_path"] + exchange.scope["path"], status, seconds * 1000,
            first_ms=first, tokens=tokens, tokens_per_s=speed, note=exchange.note, worker=self._name,
        )  # fmt: skip
        self._observer.request(record)


def _in_public(error: UserError) -> tuple[int, str]:
    """(status, what a stranger is told): Cloudflare's own numbers."""
    if isinstance(error, LimitExceeded):
        return 503, f"Error {error.code}: the worker exceeded a limit."
    if isinstance(error, IsolateLost):
        return 503, "The worker is being restarted, please try again."
    return 500, "Error 1101: the worker threw an exception."


def _header(exchange: Exchange, header: bytes) -> str:
    return next((value.decode("latin-1") for name, value in exchange.scope["headers"] if name == header), "")


def _is_browser(exchange: Exchange) -> bool:
    """Someone is looking at a page: they want to see what broke rather than the old version's answer."""
    from runtime.supervisor.http import pages

    return exchange.method == "GET" and pages.wants_html(_header(exchange, b"accept"))
