"""The engines that the contract test runs over, and what tests ask of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bindings.ai.engine import weights
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import Delta, EngineSpec, Generate
from bindings.ai.engines.echo import EchoEngine
from bindings.ai.engines.llamacpp.engine import LlamaCppEngine
from bindings.ai.engines.openai.engine import OpenAIEngine
from models_support import Said, silent, tiny_llama

LONG = "one two three four five six seven eight nine ten"


class Engines:
    """Opens each engine once, when a test first wants it. vLLM lives in a process of its own, as it always does."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._open = folder, dict[str, Any]()

    async def get(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = await getattr(self, name)()
        return self._open[name]

    async def aclose(self) -> None:
        for engine in self._open.values():
            await engine.aclose()

    async def echo(self) -> EchoEngine:
        options = {"rate": 200, "context_window": 512}
        return await EchoEngine.open(EngineSpec(engine="echo", model="echo", options=options), silent)

    async def llamacpp(self) -> LlamaCppEngine:
        options = {"n_ctx": 512, "n_parallel": 2}
        return await LlamaCppEngine.open(EngineSpec(engine="llamacpp", model="embedded", options=options), silent)

    async def openai(self) -> OpenAIEngine:
        self._upstream = await self.llama_server()
        options = {"base_url": f"{self._upstream.listening_address}/v1", "api_key": "unused"}
        return await OpenAIEngine.open(EngineSpec(engine="openai", model="smollm2", options=options), silent)

    async def vllm(self) -> EngineClient:
        if find_spec("vllm") is None:
            pytest.skip("vLLM is not installed")
        spec = EngineSpec(engine="vllm", model=str(tiny_llama(self._folder / "tiny")))
        client = EngineClient(spec, Said(), load_timeout=400)
        await client.ready()
        return client

    async def llama_server(self) -> Any:
        """llama.cpp's own HTTP server: somebody else's idea of OpenAI's API."""
        xllamacpp = import_module("xllamacpp")
        params = xllamacpp.CommonParams()
        params.model.path = str(await weights.embedded_model(silent))
        params.n_ctx, params.n_parallel, params.n_batch, params.ui, params.verbosity = 4096, 2, 32, False, 1
        return await asyncio.to_thread(xllamacpp.Server, params)


async def collect(engine: Any, request: Generate, name: str = "r") -> list[Delta]:
    async with aclosing(engine.generate(request, name)) as deltas:
        return [delta async for delta in deltas]


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.005)


async def live(engine: Any) -> int:
    if isinstance(engine, EngineClient):
        return int((await engine.stats())["live"])
    return int(engine.live)


async def until_live(engine: Any, wanted: int) -> float:
    """Seconds until the model works on ``wanted`` requests."""
    start = time.monotonic()
    async with asyncio.timeout(30):
        while await live(engine) != wanted:  # noqa: ASYNC110 (it may be in another process)
            await asyncio.sleep(0.001)
    return time.monotonic() - start
