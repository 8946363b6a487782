"""HTTP/1.1 as uvicorn speaks it, with a limit on a request's head. Of its own: an upgrade that no worker takes is
ignored, a target may hold bytes that are not ASCII, a client of HTTP/1.0 gets no chunks, one that has shut down its
half gets its answer, and one that keeps a connection waiting loses it. A request costs no timer.

No other file imports uvicorn, and ``cycles`` alone knows its objects besides. What is used of its internals is in no
documentation of it: pyproject.toml bounds its version, and tests/supervisor/test_uvicorn.py says which name has gone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.begun import IfForwarded, scope_of
from runtime.supervisor.http.client.leaving import Watch
from runtime.supervisor.http.client.patience import DEFAULT_PATIENCE, ClientClock, Patience
from runtime.supervisor.http.heads import HEAD_TOO_LARGE, TOO_LATE, TRAILERS, ToTheEnd, retold
from runtime.supervisor.http.light import Flag, collect, connect, disconnect, is_full, is_whole, nothing, prepare

MAX_HEAD_BYTES = 256 * 1024  # bytes; a complete head is refused at 128 KiB already, with a text

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


class Cycle(RequestResponseCycle):
    """Of a connection whose scope is made. A client of HTTP/1.0 knows no interim answers, and no chunks."""

    def __init__(self, connection: Any) -> None:
        modern = connection.scope["http_version"] == "1.1"
        self.scope, self.transport, self.flow = connection.scope, connection.transport, connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.message_event: Any = Flag()
        self.access_log = self.disconnected = self.response_started = self.response_complete = False
        self.keep_alive = connection.scope["http_version"] != "1.0" and connection.parser.should_keep_alive()
        self.waiting_for_100_continue = modern and connection.expect_100_continue
        self.body, self.more_body, self.task = cast(Any, b""), True, None
        self.chunked_encoding, self.expected_content_length = (None, 0) if modern else (False, ToTheEnd(1))


class Protocol(HttpToolsProtocol):
    """Collecting an endless head costs memory without end, and time that grows with its square."""

    # One attribute more in uvicorn's dict, and each connection has a dict of 1.5 KB.
    __slots__ = ("_begins", "_clock", "_head", "_in_line", "_watch", "lost", "patience", "shut")

    ws_protocol_class = None

    def __init__(self, config: Any, server_state: Any, patience: Patience = DEFAULT_PATIENCE, **_: Any) -> None:
        prepare(self, config, server_state)
        self.patience = patience
        self._head: int | None = None  # bytes of the head that is still coming in
        self._in_line = True  # what comes next is a request line, or the rest of one
        self._begins: Cycle | None = None  # whose head has come: it begins with what of its body comes along
        self._watch: Watch | None = None  # once the client will send no more
        self.lost: Callable[[], None] | None = None  # told when the connection is
        self.shut: Callable[[], None] | None = None  # told when the server ends

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        connect(self, transport)
        ends = self._head_late, self.timeout_keep_alive_handler, transport.abort
        self._clock = ClientClock(self.patience, self.timeout_keep_alive, *ends)
        self._clock.head_awaited()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.over()
        self._watch = None  # what holds a connection, and is held by it, would wait for the collector
        disconnect(self)
        if self.lost is not None and not is_whole(self.cycle):
            self.lost()

    def eof_received(self) -> bool:  # type: ignore[override]
        """True: the connection stays open, for the answer to a request that has come whole. TLS closes both halves."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self._head is not None:
            return False
        if self.scheme == "https":
            return False
        if self._watch is None and self.client is not None and self.server is not None:
            cycle.keep_alive = False
            ends = self.client, (self.server[0], self.server[1] or 0)
            modern = cycle.scope["http_version"] == "1.1"
            self._watch = Watch(self.transport, *ends, lambda: modern and not cycle.response_started)
        return True

    def let_go(self) -> None:
        """The connection is another protocol's from here on."""
        self._clock.stop()
        self.connections.discard(self)
        self.pipeline.clear()
        self.lost = self.shut = self.parser = self.cycle = None  # type: ignore[assignment]  # each holds this, and a client may rest

    def on_message_begin(self) -> None:
        self._head, self.url, self.headers, self.expect_100_continue = 0, b"", [], False

    def on_headers_complete(self) -> None:
        self._head, self._in_line = None, False
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("this is no proxy")
            return
        before, self.scope = self.cycle, scope_of(self)  # type: ignore[assignment]
        self.cycle, self.headers = Cycle(self), TRAILERS
        if before is None or before.response_complete:
            self._begins = self.cycle
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._clock.body_arrived(len(body))
        if not (self.parser.should_upgrade() or self.cycle.response_complete):
            collect(self.cycle, body)

    def on_message_complete(self) -> None:
        self._in_line = True
        self._clock.body_came()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self.transport.write(HEAD_TOO_LARGE)
                return self.transport.close()
        self._clock.busy()
        try:
            self._parse(data if data.isascii() else self._quoted(data))
        except httptools.HttpParserError:
            self._begins = None
            self.send_400_response("Invalid HTTP request received.")
        if self._begins is not None:
            self._start_asgi_task(self._begins, self.app)
        if self._head is not None and b"\n" in data:
            self._in_line = False
        self._await_rest()

    def _await_rest(self) -> None:
        """What the client has still to send, it has its time for."""
        if self._head is not None or self.cycle is None:
            self._clock.head_awaited()
        elif not self._in_line:
            if is_full(self.cycle):
                self.flow.pause_reading()
            self._clock.head_came()
            self._clock.body_awaited(self._awaits_body, self._body_late)
        elif self.cycle.response_complete:  # an empty line: uvicorn takes it for the beginning of a request
            self._clock.head_awaited()
        else:
            self._clock.head_came()

    def _awaits_body(self) -> bool:
        """Not while nobody reads, nor before the client has been told to send it."""
        cycle = self.cycle
        stopped = self.flow.read_paused or cycle.waiting_for_100_continue
        return not stopped and (cycle.response_complete or not cycle.body)

    def _head_late(self) -> None:
        if self.flow.read_paused:
            return self._clock.head_awaited()
        if self._head is not None:
            self.transport.write(TOO_LATE)
        self.transport.close()

    def _body_late(self) -> None:
        if not self.cycle.response_started:
            self.transport.write(TOO_LATE)
        self.transport.close()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Most requests need no task: what is asked in this turn is answered in the one that hears of it."""
        self._begins = None
        if (at_once := getattr(app, "at_once", None)) is None or not at_once(cycle.scope, cycle.receive, cycle.send):
            self.begin_task(cycle, app)

    def shutdown(self) -> None:
        super().shutdown()
        if self.shut is not None:
            self.shut()

    def begin_task(self, cycle: Any, app: Any) -> None:
        cycle.task = task = self.loop.create_task(self._run(cycle, app))
        self.tasks.add(task)

    async def _run(self, cycle: Any, app: Any) -> None:
        """As uvicorn's ``run_asgi``, which logs besides; ``app`` has an answer to whatever it can think of."""
        try:
            await app(cycle.scope, cycle.receive, cycle.send)
        except BaseException:
            if not cycle.response_started:
                await cycle.send_500_response()
        finally:
            self.tasks.discard(cycle.task)
            if not (cycle.response_complete or cycle.disconnected):
                self.transport.close()
            cycle.task, cycle.on_response = None, nothing  # which hold it

    def on_response_complete(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._clock.rests()

    def pause_writing(self) -> None:
        self._clock.answer_waits()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._clock.answer_taken()
        super().resume_writing()

    def _parse(self, data: bytes) -> None:
        """An upgrade that nobody takes is ignored (RFC 9110, section 7.8). The parser stops behind a head that asks
        for one: it is told the same request again, without that."""
        rest: bytes | memoryview = data
        while True:
            try:
                return self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                self.parser.feed_data(self._without_upgrade())

    def _without_upgrade(self) -> bytes:
        return retold(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)

    def _quoted(self, data: bytes) -> bytes:
        """What can be parsed, with the request's target percent-encoded as a browser does it. Whole heads before the
        last are parsed already: only then is it known whether a body follows or another request."""
        while self._in_line and data:
            head, end, rest = data.partition(b"\r\n\r\n")
            line, newline, fields = head.partition(b"\n")
            line = _BEYOND_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line)
            if not rest:
                return line + newline + fields + end
            self._parse(line + newline + fields + end)
            data = rest
        return data


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The supervisor has its own: it has children to end."""
        yield

    def stop(self, grace_s: float) -> None:
        """Take no more connections; open requests have ``grace_s`` seconds to finish."""
        self.config.timeout_graceful_shutdown = math.ceil(grace_s)
        self.should_exit = True

    def new_protocol(self) -> Protocol:
        """For a connection that comes by another way than the sockets."""
        make = cast(Any, self.config.http_protocol_class)
        return cast(Protocol, make(config=self.config, server_state=self.server_state, app_state={}))

    def open_requests(self) -> list[str]:
        """``GET /path`` of each request that is not answered to its end."""
        cycles = filter(None, (getattr(connection, "cycle", None) for connection in self.server_state.connections))
        scopes = [cycle.scope for cycle in cycles if not cycle.response_complete]
        return [f"{scope['method']} {scope['root_path']}{scope['path']}" for scope in scopes]


def make_server(
    application: Application, grace_s: float, patience: Patience, protocol: type[Protocol] = Protocol, **settings: Any
) -> Server:
    """``grace_s``: seconds that requests have to finish once it stops; ``settings``: further ones of uvicorn's."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # the observer says what there is to say
    if settings.setdefault("proxy_headers", True):
        near = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1").split(",")  # as uvicorn: proxies of this machine
        settings["proxy_headers"], application = False, IfForwarded(application, forwarded(application, near))
    return Server(uvicorn.Config(
        cast(Any, application), http=cast(Any, partial(protocol, patience=patience)), ws="none", interface="asgi3",
        lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(grace_s), **settings,
    ))  # fmt: skip


def forwarded(application: Application, trusted: Sequence[str]) -> Application:
    """The application behind proxies: ``X-Forwarded-For`` and ``-Proto`` count from these networks."""
    return cast(Application, ProxyHeadersMiddleware(cast(Any, application), list(trusted)))


__all__ = ["STATUS_LINE", "Patience", "Protocol", "RequestResponseCycle", "Server", "forwarded", "make_server"]
