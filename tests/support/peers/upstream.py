"""A server that speaks OpenAI's API, for what a real one will not do: come up slowly, count its readers, say to the
byte what another one said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Said:
    """One whole answer: the pieces arrive one by one. ``hang``: then nothing, and no end; ``cut``: then no more
    connection."""

    pieces: list[bytes]
    status: int = 200
    kind: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False

    async def send(self, request: web.Request, ended: asyncio.Event) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status, headers={"content-type": self.kind, **self.headers})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
            await asyncio.sleep(0.002)
        if self.hang:
            await ended.wait()
        if self.cut and request.transport is not None:
            request.transport.abort()
        return response


class Upstream:
    """Answers with ``tokens`` times " word", ``pause`` seconds apart, once ``open`` is set.

    ``says``: a model, or the first message → what it answers instead, or a function of what was asked that says so.
    """

    def __init__(self, tokens: int, pause: float) -> None:
        self.tokens, self.pause, self.url = tokens, pause, ""
        self.open = asyncio.Event()
        self.live = 0  # answers that are being read
        self.asked: list[dict[str, Any]] = []
        self.names: list[str] = []  # the models that it says it has
        self.says: dict[str, Any] = {}
        self.ended = asyncio.Event()
        self.refusals: list[int] = []  # statuses for the next requests, which get nothing else

    async def models(self, request: web.Request) -> web.Response:
        await self.open.wait()
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.names]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        if self.refusals:
            return web.json_response({"error": {"message": "not now"}}, status=self.refusals.pop(0))
        asked = self.asked[-1]
        if said := self.says.get(asked["model"]) or self.says.get(str(asked["messages"][0]["content"])):
            return await (said if isinstance(said, Said) else said(asked)).send(request, self.ended)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        self.live += 1
        try:
            for _ in range(self.tokens):
                await response.write(_event(choices=[{"index": 0, "delta": {"content": " word"}}]))
                await asyncio.sleep(self.pause)
            await response.write(_event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
            usage = {"prompt_tokens": 5, "completion_tokens": self.tokens, "total_tokens": 5 + self.tokens}
            await response.write(_event(choices=[], usage=usage) + b"data: [DONE]\n\n")
        finally:
            self.live -= 1
        return response

    async def again(self, request: web.Request) -> web.StreamResponse:
        """Where a redirect leads that keeps the method."""
        await request.read()
        said = _event(choices=[{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}])
        return await Said([said + b"data: [DONE]\n\n"]).send(request, self.ended)

    async def until_live(self, wanted: int) -> None:
        async with asyncio.timeout(30):
            while self.live != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def _event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **fields}).encode() + b"\n\n"


@asynccontextmanager
async def upstream(tokens: int = 3, pause: float = 0.0, *, is_open: bool = True) -> AsyncIterator[Upstream]:
    """Serving; ``url`` is what ``base_url`` wants."""
    server = Upstream(tokens, pause)
    if is_open:
        server.open.set()
    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/models", server.models),
            web.post("/v1/chat/completions", server.chat),
            web.post("/v1/again", server.again),
            web.get("/elsewhere", server.models),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        server.open.set()
        server.ended.set()
        await runner.cleanup()
