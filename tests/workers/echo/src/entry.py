"""A WebSocket that says again what it hears, and counts."""

from js import Response, WebSocketPair
from pyodide.ffi import create_proxy


async def on_fetch(request, env, ctx):
    if request.headers.get("Upgrade") != "websocket":
        return Response.new("Expected Upgrade: websocket", status=426)
    client, server = WebSocketPair.new().object_values()
    server.accept()
    count = 0

    def on_message(event):
        nonlocal count
        count += 1
        if event.data == "bye":
            server.close(1000, f"{count} messages")
        else:
            server.send(f"{count}: {event.data}")

    server.addEventListener("message", create_proxy(on_message))
    return Response.new(None, status=101, webSocket=client)
