"""The worker under test of the bindings that keep things: one path each; `/` is what any request costs."""

import asyncio
import random
from urllib.parse import urlsplit

from workers import Response

KIB = "x" * 1024
PUTS = 50  # of one request to /kv/puts


async def fetch(request, env, ctx):
    path = urlsplit(request.url).path
    if path == "/kv/get":
        return Response(await env.KV.get("read"))
    if path == "/kv/put":
        await env.KV.put(f"k{random.randrange(10_000)}", KIB)
        return Response("put")
    if path == "/kv/puts":
        await asyncio.gather(*(env.KV.put(f"k{random.randrange(10_000)}", KIB) for _ in range(PUTS)))
        return Response("put")
    if path == "/kv/begin":
        await env.KV.put("read", KIB)
    return Response(KIB)
