"""What one would write by hand: a stream of tokens on ``AsyncLLM.generate``, one chunk per token, nothing else."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from itertools import count
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

numbers = count()
HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


class Application:
    llm: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.live(receive, send)
        if scope["path"] == "/health":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return await send({"type": "http.response.body", "body": b""})
        body = json.loads((await receive())["body"])
        answering = asyncio.ensure_future(self.answer(body, send))
        leaving = asyncio.ensure_future(left(receive))
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def live(self, receive: Receive, send: Send) -> None:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        await receive()
        self.llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**json.loads(os.environ["ENGINE_ARGS"])))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.llm.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, body: dict[str, Any], send: Send) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        (prompt,) = await self.llm.renderer.render_cmpl_async([{"prompt": body["prompt"]}])
        params = SamplingParams(max_tokens=body["max_tokens"], ignore_eos=True, output_kind=RequestOutputKind.DELTA)
        await send(HEAD)
        async for output in self.llm.generate(prompt, params, str(next(numbers))):
            event = b"data: " + json.dumps({"response": output.outputs[0].text}).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


application = Application()
