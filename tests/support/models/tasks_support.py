"""An OpenAI-compatible server for the tasks that are no text generation."""

from __future__ import annotations

from typing import Any

from aiohttp import web


class Upstream:
    """``/rerank`` as vLLM and llama.cpp have it, ``/audio/…`` as OpenAI has it. ``asked``: what came in."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.short = False

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def rerank(self, request: web.Request) -> web.Response:
        self.asked.append(asked := await request.json())
        scores = [len(text) / 10 for text in asked["documents"]]
        rows = [{"index": number, "relevance_score": score} for number, score in enumerate(scores)]
        best = sorted(rows, key=lambda row: -row["relevance_score"])
        return web.json_response({"results": best[: -1 if self.short else None], "usage": {"total_tokens": 7}})

    async def listen(self, request: web.Request) -> web.Response:
        form = {
            name: value.file.read() if isinstance(value, web.FileField) else value
            for name, value in (await request.post()).items()
        }
        self.asked.append({"path": request.path, **form})
        segments = [{"id": 0, "start": 0.0, "end": 1.5, "text": " Hello"}, {"start": 1.5, "end": 2, "text": " you."}]
        return web.json_response({"text": " Hello you.", "language": "en", "duration": 2.0, "segments": segments})

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/rerank", self.rerank)
        app.router.add_post("/v1/audio/{task}", self.listen)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner
