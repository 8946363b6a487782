"""What ``runtime.testing`` asks a server that it has started: to use a worker's bindings, and to move the clock.

The routes are there only where PILOT_TEST_TOKEN was set at start, and answer to that token alone.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Sequence

import msgspec

from bindings.base import Binding, CallError, HostStream, Route
from bindings.storage import clock
from runtime.isolate.ambient import is_listed
from runtime.web import Headers, ReadableStream, Request, Response

TOKEN = "PILOT_TEST_TOKEN"
HEADER = "x-pilot-test-token"
PATH = "/__pilot/testing/"
META = "x-pilot-meta"


def routes(bindings: Callable[[], Sequence[Binding]]) -> list[Route]:
    """``bindings``: of the worker that answers now."""
    token = os.environ.get(TOKEN, "")
    if not token:
        return []

    async def bound(request: Request) -> Response:
        """[[name, the class of the worker's half, its arguments]]."""
        listed = [binding for binding in bindings() if is_listed(binding.name)]
        return _packed([[binding.name, binding.client, dict(binding.client_args)] for binding in listed])

    async def call(request: Request) -> Response:
        """``[name, method, arguments]``."""
        name, method, args = msgspec.msgpack.decode(await request.bytes())
        binding = next(binding for binding in bindings() if binding.name == name)
        try:
            answer = await binding.call(method, args)
        except CallError as error:
            return _packed([error.name, str(error), dict(error.fields)], 400)
        if isinstance(answer, HostStream):
            return Response(ReadableStream(answer.chunks), headers={META: json.dumps(dict(answer.meta))})
        return _packed(answer)

    async def move(request: Request) -> Response:
        """The time then, in seconds since 1970."""
        await clock.move(float(await request.text()))
        return Response(repr(clock.now()))

    def allowed(handler: Callable[[Request], object]) -> Callable[[Request], object]:
        async def handle(request: Request) -> Response:
            if not hmac.compare_digest((request.headers.get(HEADER) or "").encode(), token.encode()):
                return Response("not the token of this test\n", status=403)
            return await handler(request)  # type: ignore[misc, no-any-return]

        return handle

    handlers = {"bindings": bound, "call": call, "clock": move}
    return [Route("POST", f"{PATH}{name}", allowed(handler)) for name, handler in handlers.items()]  # type: ignore[arg-type]


def _packed(value: object, status: int = 200) -> Response:
    headers = Headers({"content-type": "application/msgpack"})
    return Response(msgspec.msgpack.encode(value), status=status, headers=headers)


__all__ = ["HEADER", "META", "PATH", "TOKEN", "routes"]
