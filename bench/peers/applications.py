"""What the Python peers serve: a greeting, and 100 events a second without end."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HELLO = b"Hello from Python!\n"
DATA = '{"response":" word"}'
EVENT = f"data: {DATA}\n\n".encode()
HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(HELLO))],
}
STREAM = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


async def events() -> AsyncIterable[bytes]:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += 0.01
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield EVENT


async def idle(send: Send, receive: Receive) -> None:
    await send(STREAM)
    await send({"type": "http.response.body", "body": EVENT, "more_body": True})
    await _left(receive)


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/idle":
        return await idle(send, receive)
    if scope["path"] != "/events":
        await send(HEAD)
        return await send({"type": "http.response.body", "body": HELLO})
    await send(STREAM)
    leaving = asyncio.ensure_future(_left(receive))
    async for event in events():
        if leaving.done():
            break
        await send({"type": "http.response.body", "body": event, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def starlette(scope: Scope, receive: Receive, send: Send) -> None:
    await _starlette()(scope, receive, send)


async def sse_starlette(scope: Scope, receive: Receive, send: Send) -> None:
    await _sse_starlette()(scope, receive, send)


async def fastapi(scope: Scope, receive: Receive, send: Send) -> None:
    await _fastapi()(scope, receive, send)


@cache
def _starlette() -> Application:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def hello(request: Any) -> Any:
        return PlainTextResponse(HELLO)

    async def stream(request: Any) -> Any:
        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/", hello), Route("/events", stream)])


@cache
def _sse_starlette() -> Application:
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def stream(request: Any) -> Any:
        return EventSourceResponse(({"data": DATA} async for _ in events()), sep="\n")

    return Starlette(routes=[Route("/events", stream)])


@cache
def _fastapi() -> Application:
    import fastapi
    from fastapi.responses import PlainTextResponse
    from fastapi.sse import EventSourceResponse

    app = fastapi.FastAPI()

    async def hello() -> Any:
        return PlainTextResponse(HELLO)

    async def stream() -> AsyncIterable[dict[str, str]]:
        async for _ in events():
            yield {"response": " word"}

    app.get("/")(hello)
    app.get("/events", response_class=EventSourceResponse)(stream)
    return app
