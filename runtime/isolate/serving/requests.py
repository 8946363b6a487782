"""Requests: from a frame to the script's handler, and its answer back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from runtime import web
from runtime.isolate.remote import HandleStream, fits_inline, reference
from runtime.isolate.script.entrypoints import DEFAULT
from runtime.isolate.script.errors import as_remote
from runtime.isolate.script.handlers import FetchHandler, entrypoint_handler, find_handler
from runtime.isolate.serving.bodies import ScriptStream
from runtime.isolate.serving.context import Context
from runtime.isolate.serving.edge import Edge
from runtime.isolate.serving.sockets import answered
from runtime.isolate.serving.worker import Worker, failure, is_the_scripts
from runtime.values import from_wire
from runtime.web.request import Leaving
from runtime.web.scope import current_root

Chunks = AsyncIterator[bytes | str]


class Requests:
    """Raises ``ScriptError`` when the script has nothing that could answer one."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._channel = worker, worker.channel
        self._handler = find_handler(worker.script)
        self._named: dict[str, FetchHandler] = {}  # of entrypoints besides the default
        self._answering: dict[int, Leaving] = {}  # by event, while a body is being sent

    async def fetch(
        self,
        event: int,
        method: str,
        url: str,
        headers: list[Any],
        body: bytes | None,
        handle: int | None,
        origin: list[str] | None,
        entrypoint: str = DEFAULT,
        props: Any = None,
    ) -> list[Any]:
        """``origin``: None for a request of another worker's; that says itself what it asks, of which entrypoint."""
        source = body if handle is None else HandleStream(self._channel.read(handle))
        if origin is None:
            request = web.Request.from_parts(method, url, headers, source)
        else:
            edge = Edge(headers, url, origin)
            request = web.Request.from_parts(method, url, edge, source, edge.cf)
        ctx = self._worker.begin(event)
        if props:
            ctx.props = from_wire(props)
        if origin and origin[2]:
            current_root.set(origin[2])
        try:
            handler = self._handler if entrypoint == DEFAULT else self._of(entrypoint)
            response = await self._worker.metered(handler(request, self._worker.env, ctx))
            return self._answer(event, request, response, ctx)
        except BaseException as error:
            ctx.responded()
            if is_the_scripts(error):
                raise (failure(error) if origin is not None else as_remote(error)) from None
            request.left()
            raise

    def _of(self, entrypoint: str) -> FetchHandler:
        """Raises ``ScriptError``."""
        if entrypoint not in self._named:
            self._named[entrypoint] = entrypoint_handler(self._worker.script, entrypoint)
        return self._named[entrypoint]

    def _answer(self, event: int, request: web.Request, response: web.Response, ctx: Context) -> list[Any]:
        """[status, status text, headers, body]; a body is bytes, None, ["mine" | "yours", stream number] or ["socket",
        number]. A fifth member: the supervisor says when it is over, as the client's leaving matters until then."""
        status, text, headers, body = response.to_parts(request.accepts)
        if response.web_socket is not None:
            return [
                status,
                text,
                headers,
                ["socket", answered(self._channel, event, response.web_socket, ctx.responded)],
            ]
        if not (body is None or isinstance(body, bytes | HandleStream)):
            stream = self._script_stream(event, request, body, ctx)
            return [status, text, headers, ["mine", self._channel.offer(stream)]]
        ctx.responded()
        if isinstance(body, HandleStream) and (request.watched or ctx.busy):
            self._answering[event] = request.leaving()
            return [status, text, headers, reference(self._channel, body), True]
        sent = body if body is None or fits_inline(body) else reference(self._channel, body)
        return [status, text, headers, sent]

    def _script_stream(self, event: int, request: web.Request, body: Chunks, ctx: Context) -> ScriptStream:
        def ended() -> None:
            self._answering.pop(event, None)
            ctx.responded()

        self._answering[event] = request.leaving()
        return ScriptStream(body, ended)

    def note(self, op: str, event: int) -> None:
        """``left`` or ``over``: what has become of an answer that is still on its way."""
        answering = self._answering.pop(event, None)
        if op == "left" and answering is not None:
            answering.left()
