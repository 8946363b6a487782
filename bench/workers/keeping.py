"""The worker under test of R2 and Vectorize: one path each; `/` is what any request costs."""

import random
from urllib.parse import urlsplit

from workers import Response

MB, DIMENSIONS = 1000 * 1000, 384


async def content():
    for number in range(100):
        yield bytes([number]) * MB


async def fetch(request, env, ctx):
    path = urlsplit(request.url).path
    if path == "/r2/begin":
        await env.R2.put("object", content())
    if path == "/r2/upload":
        await env.R2.put("upload", request.body)
    if path == "/object":
        return Response((await env.R2.get("object")).body)
    if path == "/vectorize/query":
        found = await env.DOCS.query([random.gauss(0, 1) for _ in range(DIMENSIONS)], topK=10)
        return Response(found.matches[0].id)
    return Response("x" * 1024)
