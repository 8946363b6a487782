"""The worker under test: each path is one way for bytes to leave."""

import asyncio
from urllib.parse import urlsplit

from workers import Response
from workers import fetch as outbound

EVENTS = {"content-type": "text/event-stream"}
ASKED = {"prompt": "Where is New York?", "raw": True, "max_tokens": 3000, "stream": True}


async def fetch(request, env, ctx):
    path = urlsplit(request.url).path
    if path == "/tokens":  # the model's stream, unread
        return Response(await env.AI.run(env.MODEL, ASKED), headers=EVENTS)
    if path == "/again":  # read here and written again
        return Response(again(await env.AI.run(env.MODEL, ASKED)), headers=EVENTS)
    if path == "/ask":  # the same, and the client says what for
        return Response(await env.AI.run(env.MODEL, await request.json()), headers=EVENTS)
    if path == "/run":  # an answer in one piece
        return Response.json(await env.AI.run(env.MODEL, await request.json()))
    if path == "/idle":
        return Response(idle(), headers=EVENTS)
    if path == "/quiet":  # a model that says one word every ten seconds
        return Response(await env.AI.run("@cf/bench/quiet", ASKED), headers=EVENTS)
    if path == "/proxy":
        answer = await outbound(env.TARGET)
        return Response(answer.body, headers=EVENTS)
    if path == "/json":
        return Response.json(await request.json())
    if path == "/upload":  # ?to=URL
        return await outbound(urlsplit(request.url).query.removeprefix("to="), method="PUT", body=request.body)
    return Response("Hello from Python!\n")


async def idle():
    yield b'data: {"response":" word"}\n\n'
    await asyncio.Event().wait()


async def again(stream):
    async for chunk in stream:
        yield chunk
