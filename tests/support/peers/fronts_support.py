"""Asking each of several fronts, and a worker that only the first can run."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Any

import aiohttp

from hosting import Host

FRONTS = 3
TRIES = 40  # new connections, of which each front gets some: one that gets none has a chance of 1 in 10 million
PID = "import os\nfrom workers import Response\ndef fetch(request, env): return Response(str(os.getpid()))\n"
OBJECT = """
import os
from workers import DurableObject, Response, WorkerEntrypoint

class Counter(DurableObject):
    async def fetch(self, request):
        if request.headers.get("upgrade") == "websocket":
            from js import WebSocketPair
            client, server = WebSocketPair.new().object_values()
            self.ctx.acceptWebSocket(server)
            return Response(None, status=101, web_socket=client)
        n = (await self.ctx.storage.get("n") or 0) + 1
        await self.ctx.storage.put("n", n)
        return Response.json([n, len(await request.bytes()), request.headers.get("cf-connecting-ip")])

    async def webSocketMessage(self, socket, message):
        socket.send(f"heard {message}")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.COUNTER.getByName("a").fetch(request)
"""
OBJECT_CONFIG = """
durable_objects = {bindings = [{name = "COUNTER", class_name = "Counter"}]}
migrations = [{tag = "v1", new_sqlite_classes = ["Counter"]}]
"""


async def fronts(host: Host, but: AbstractSet[int] = frozenset()) -> dict[int, int]:
    """The process of each, once all are there; ``but``: those of others."""
    async with asyncio.timeout(60):
        while True:
            try:
                status, report = await fresh_json(host, "/client/v4/pilot/status")
            except aiohttp.ClientError:
                status, report = 0, None
            if status == 200:
                found = {row["front"]: row["process"] for row in report["result"]["fronts"]}
                if len(found) == FRONTS and not but & set(found.values()):
                    return found
            await asyncio.sleep(0.1)


async def fresh(host: Host, path: str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
    """On a connection of its own, which the kernel gives to any front."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=False), middlewares=(host.with_token,), timeout=aiohttp.ClientTimeout(60)
    ) as http, http.request(method, host.url + path, **options) as response:  # fmt: skip
        return response.status, await response.read()


async def fresh_json(host: Host, path: str) -> tuple[int, Any]:
    status, body = await fresh(host, path)
    return status, json.loads(body)


async def everywhere(host: Host, path: str, **options: Any) -> Counter[bytes]:
    """How often each answer came, of as many connections as reach every front."""
    return Counter([(await fresh(host, path, **options))[1] for _ in range(TRIES)])
