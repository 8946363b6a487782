"""Events that are made here: each is written when there is one, and the client is told how far it is."""

import asyncio

from js import Object, Response, TextEncoder, TransformStream
from pyodide.ffi import to_js

encoder = TextEncoder.new()


async def on_fetch(request, env, ctx):
    stream = TransformStream.new()
    writer = stream.writable.getWriter()
    first = int(request.headers.get("last-event-id") or 0) + 1

    async def events():
        for number in range(first, 6):
            await writer.write(encoder.encode(f"id: {number}\nevent: tick\ndata: {number} of 5\n\n"))
            await asyncio.sleep(0.01)
        await writer.close()

    ctx.waitUntil(events())
    headers = to_js({"content-type": "text/event-stream"}, dict_converter=Object.fromEntries)
    return Response.new(stream.readable, headers=headers)
