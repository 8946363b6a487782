"""Sockets of an ASGI application: each message back, or to everybody."""

everybody = set()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        return await send({"type": "lifespan.startup.complete"})
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        return await send({"type": "http.response.body", "body": b"x" * 100})
    await receive()
    await send({"type": "websocket.accept"})
    everybody.add(send)
    to_all = scope["path"] == "/broadcast"
    try:
        while (message := await receive())["type"] == "websocket.receive":
            answer = {"type": "websocket.send", "text": message["text"]}
            for one in tuple(everybody) if to_all else (send,):
                await one(answer)
    finally:
        everybody.discard(send)
