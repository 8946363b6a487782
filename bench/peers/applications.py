"""What the Python peers serve: a greeting, and 100 events a second without end."""

from __future__ import annotations

import asyncio
from typing import Any

HELLO = b"Hello from Python!\n"
EVENT = b'data: {"response":" word"}\n\n'
HEAD = {"type": "http.response.start", "status": 200,
        "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(HELLO))]}
STREAM = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


async def events() -> Any:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += 0.01
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield EVENT


async def raw(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] != "/events":
        await send(HEAD)
        return await send({"type": "http.response.body", "body": HELLO})
    await send(STREAM)
    leaving = asyncio.ensure_future(_left(receive))
    async for event in events():
        if leaving.done():
            break
        await send({"type": "http.response.body", "body": event, "more_body": True})


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def starlette(scope: Any, receive: Any, send: Any) -> None:
    await _starlette()(scope, receive, send)


def _starlette(made: list[Any] = []) -> Any:  # noqa: B006 (once per process)
    if not made:
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse, StreamingResponse
        from starlette.routing import Route

        async def hello(request: Any) -> Any:
            return PlainTextResponse(HELLO)

        async def stream(request: Any) -> Any:
            return StreamingResponse(events(), media_type="text/event-stream")

        made.append(Starlette(routes=[Route("/", hello), Route("/events", stream)]))
    return made[0]
