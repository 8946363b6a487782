"""Reads the model's stream on its way to the client, and changes it: every answer comes back in capitals."""

import json

from workers import Response

MODEL = "@cf/meta/llama-2-7b-chat-int8"


async def fetch(request, env, ctx):
    stream = await env.AI.run(MODEL, {"prompt": "where is new york?", "stream": True})
    return Response(shout(stream), headers={"content-type": "text/event-stream"})


async def shout(stream):
    """The same events in capitals. A chunk may hold several events, or end in the middle of one."""
    pending = b""
    async for chunk in stream:
        *events, pending = (pending + chunk).split(b"\n\n")
        for event in events:
            yield capitals(event) + b"\n\n"


def capitals(event):
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]":
        return event
    fields = json.loads(data)
    fields["response"] = (fields.get("response") or "").upper()
    return b"data: " + json.dumps(fields).encode()
