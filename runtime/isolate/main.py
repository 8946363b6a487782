"""One isolate: one version of one worker's code, in a process of its own.

Its whole connection to the world is the channel. The supervisor calls ``load`` once, ``fetch`` per request,
``event`` for what is none, and ``drain`` before it lets go; the isolate calls ``binding`` and ``fetch`` (outbound).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

import msgspec
import uvloop

from runtime import web
from runtime.errors import ScriptError
from runtime.isolate import env as environment
from runtime.isolate import meter, stack
from runtime.isolate.bodies import ScriptStream
from runtime.isolate.boot import Boot
from runtime.isolate.context import Context, Tasks
from runtime.isolate.edge import Edge
from runtime.isolate.meter import CpuExceeded, Metered
from runtime.isolate.remote import HandleStream, current_event, reference
from runtime.isolate.script import handlers, loader, trace
from runtime.isolate.script.errors import as_failure, ended_by_runtime
from runtime.isolate.script.events import find_event_handler
from runtime.web.scope import current_ctx, current_env, current_root
from runtime.wire import MAX_CHUNK, MAX_WORKER_FRAME, Channel, RemoteError

# Bytes of a worker's body, a response's or an outbound request's, that travel in the frame of its head; a larger one is
# a stream. It is whole when it is sent, so one large frame is cheaper than many. (A client's upload has another limit,
# ``supervisor.http.exchange``: it would hold the request up while it comes.)
WORKER_INLINE_BYTES = MAX_CHUNK
_EXIT_GRACE_S = 2.0  # from the supervisor's end to this process's


Chunks = AsyncIterator[bytes | str]


class Isolate:
    """Serves the supervisor's calls."""

    def __init__(self) -> None:
        self.channel: Channel
        self._env: environment.Env
        self._script: ModuleType
        self._handler: handlers.FetchHandler
        self._tasks: Tasks
        self._answering: dict[int, web.Request] = {}  # by event, while a body is being sent
        self._operations: dict[str, Callable[..., Awaitable[Any]]] = {
            "load": self._load,
            "fetch": self._fetch,
            "event": self._event,
            "drain": self._drain,
            "beat": self._beat,
        }

    async def __call__(self, op: str, args: list[Any]) -> Any:
        return await self._operations[op](*args)

    async def _load(self, boot: Boot) -> list[str]:
        root = Path(boot["root"])
        self._tasks = Tasks(boot["wait_until"])
        self._cpu_ms = boot.get("cpu_ms")
        if self._cpu_ms is not None:
            self._meter(self._cpu_ms)
        if boot.get("confined"):
            trace.name_from_root()
        self._env = environment.build(boot["bindings"], self.channel)
        web.set_transport(self._outbound)
        current_env.set(self._env)  # for code that runs while it is imported
        try:
            self._script = loader.load(Path(boot["main"]), root, boot["packages"], confined=boot.get("confined", False))
            self._handler = handlers.find_handler(self._script)
        except ScriptError as error:
            raise as_failure(error) from None
        return loader.third_party(root)

    async def _fetch(
        self,
        event: int,
        method: str,
        url: str,
        headers: list[Any],
        body: bytes | None,
        handle: int | None,
        origin: list[str],
    ) -> list[Any]:
        ctx = Context(self._tasks)
        source = body if handle is None else HandleStream(self.channel.read(handle))
        edge = Edge(headers, url, origin)
        request = web.Request.from_parts(method, url, edge, source, edge.cf)
        current_event.set(event)
        current_env.set(self._env)
        current_ctx.set(ctx)
        if origin[2]:
            current_root.set(origin[2])
        try:
            return self._answer(event, request, await self._handle(request, ctx), ctx)
        except BaseException as error:
            ctx.responded()
            if ended_by_runtime(error) or isinstance(error, CpuExceeded):
                request.left()
                raise
            raise as_failure(error) from None

    def _meter(self, cpu_ms: int) -> None:
        from runtime.isolate import threads  # dev has no use for it

        meter.begin(cpu_ms)
        threads.follow()

    async def _handle(self, request: web.Request, ctx: Context) -> web.Response:
        if self._cpu_ms is None:
            return await self._handler(request, self._env, ctx)

        async def work() -> web.Response:
            return await self._handler(request, self._env, ctx)

        response: web.Response = await Metered(work(), self._cpu_ms)
        return response

    async def _event(self, event: int, handler: str, client: str, args: dict[str, Any]) -> object:
        """Have the script deal with ``client(**args)``, and ask that for the outcome."""
        ctx, subject = Context(self._tasks), resolve_name(client)(**args)
        current_event.set(event)
        current_env.set(self._env)
        current_ctx.set(ctx)

        async def work() -> None:
            await find_event_handler(self._script, handler)(subject, self._env, ctx)

        try:
            await (work() if self._cpu_ms is None else Metered(work(), self._cpu_ms))
            outcome: object = subject.outcome()
            return outcome
        except BaseException as error:
            if ended_by_runtime(error) or isinstance(error, CpuExceeded):
                raise
            raise as_failure(error) from None
        finally:
            ctx.responded()

    def _answer(self, event: int, request: web.Request, response: web.Response, ctx: Context) -> list[Any]:
        """[status, status text, headers, body]; a body is bytes, None, or ["mine" | "yours", stream number]. A fifth
        member: the supervisor says when it is over, as the client's leaving matters until then."""
        status, text, headers, body = response.to_parts(request.accepts)
        if not (body is None or isinstance(body, bytes | HandleStream)):
            return [status, text, headers, ["mine", self.channel.offer(self._script_stream(event, request, body, ctx))]]
        ctx.responded()
        if isinstance(body, HandleStream) and (request.watched or ctx.busy):
            self._answering[event] = request
            return [status, text, headers, reference(self.channel, body), True]
        return [
            status,
            text,
            headers,
            body if body is None or self._fits_inline(body) else reference(self.channel, body),
        ]

    def _script_stream(self, event: int, request: web.Request, body: Chunks, ctx: Context) -> ScriptStream:
        def ended() -> None:
            self._answering.pop(event, None)
            ctx.responded()

        self._answering[event] = request
        return ScriptStream(body, ended)

    def note(self, op: str, args: list[Any]) -> None:
        """``left`` or ``over``: what has become of an answer that is still on its way."""
        request = self._answering.pop(args[0], None)
        if op == "left" and request is not None:
            request.left()

    def _fits_inline(self, body: bytes | Chunks) -> bool:
        return isinstance(body, bytes) and len(body) <= WORKER_INLINE_BYTES

    async def _beat(self) -> bool:
        """The loop turns. Whether a thread goes on that was to end."""
        return meter.is_stuck()

    async def _drain(self) -> None:
        await self._tasks.drain()

    async def _outbound(self, request: web.Request) -> web.Response:
        method, url, headers, body = request.to_parts()
        stream = None
        if body is not None and not self._fits_inline(body):
            stream, body = reference(self.channel, body), None
        try:
            sent = (method, url, headers, body, stream, request.redirect)
            answer = await self.channel.call("fetch", current_event.get(), *sent)
        except RemoteError as error:
            raise TypeError(error.message) from None  # what the standard calls a network error
        status, text, answered, final, redirected, handle = answer
        content: HandleStream | None = HandleStream(self.channel.read(handle))
        if content is not None and (method == "HEAD" or status in (204, 205, 304)):
            await content.aclose()
            content = None
        return web.Response.from_parts(status, text, answered, content, url=final, redirected=redirected)


def confine(rules: dict[str, Any]) -> None:
    """Before the event loop is made: libuv would otherwise count on what is taken away."""
    from runtime.isolate import sandbox  # dev has no use for it

    limits = msgspec.convert(rules, sandbox.Rules)
    os.environ.update(TMPDIR=limits.temp, HOME=limits.temp)
    os.chdir(limits.temp)
    if not sandbox.enter(limits):  # all of it is there
        sandbox.explain(limits)


async def serve(sock: socket.socket) -> None:
    """Until the supervisor closes its end."""
    isolate = Isolate()
    isolate.channel = await Channel.open(sock, isolate, on_note=isolate.note)
    isolate.channel.max_frame = MAX_WORKER_FRAME
    await isolate.channel.closed.wait()


def reopen_output() -> None:
    """Print line by line to whatever the descriptors 1 and 2 are by then: packages that were imported before a fork
    may have kept these objects."""
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def run(sock: socket.socket, stacks: int) -> None:
    """The process's life. Never returns: nothing of the worker's may hold the exit up. ``stacks``: see ``stack``."""
    # The supervisor decides when this process ends; a Ctrl-C in the terminal is for the supervisor.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reopen_output()
    stack.write_stacks_to(stacks)

    def no_terminal(*_: object, **__: object) -> None:
        raise ScriptError("breakpoint() needs a terminal", remedy="pilot dev --inline")

    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = no_terminal
    status = 0
    try:
        uvloop.run(serve(sock))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _exit_with_supervisor(sock: socket.socket) -> None:
    """A blocked event loop sees no socket close; a thread does. (A fork is ended by its zygote.)"""
    hang_up = select.poll()
    hang_up.register(sock.fileno(), 0)
    hang_up.poll()
    time.sleep(_EXIT_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    channel = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_exit_with_supervisor, args=[channel.dup()], daemon=True).start()
    if len(sys.argv) > 3:
        confine(msgspec.json.decode(sys.argv[3]))
    run(channel, int(sys.argv[2]))
