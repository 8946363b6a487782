"""LoRA adapters for vLLM: loaded on first use, put out of the way by vLLM itself when others need the room."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bindings.ai.engine.protocol import EngineError
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import AsyncLLM
from bindings.ai.error_table import ENGINE_REFUSED

Key = tuple[str, tuple[tuple[str, int, int], ...]]


class LoadedAdapters:
    """``LoRARequest`` for each adapter's folder. Files that have changed make another adapter of it.

    vLLM keeps ``max_cpu_loras`` of them in memory and ``max_loras`` beside the model, the last used ones.
    """

    def __init__(self, llm: AsyncLLM, dead: type[Exception]) -> None:
        self._llm, self._dead = llm, dead
        self._known: dict[Key, object] = {}
        self._loading = asyncio.Lock()

    async def get(self, folder: str) -> object:
        """Raises EngineError 8007 for one that does not fit the model."""
        key = await asyncio.to_thread(_key, folder)
        async with self._loading:
            if key not in self._known:
                self._known[key] = await self._load(folder, len(self._known) + 1)
        return self._known[key]

    async def _load(self, folder: str, number: int) -> object:
        """Beforehand, and not with the first request: there it would take the whole model with it if it fails."""
        request = compat.get("LoRARequest")(f"lora-{number}", number, folder)
        try:
            await self._llm.add_lora(request)
        except self._dead:
            raise
        except Exception as error:
            traceback.print_exc()
            why = str(error).replace(folder, "the adapter")
            raise EngineError(ENGINE_REFUSED, f"The adapter does not fit the model: {why}") from None
        return request


class Turns:
    """Requests with an adapter and requests without one, never at the same time; first come, first served.

    For vLLM on a CPU, which in mixed company gives a request without an adapter the last one's (it takes the index
    -1, "none", for the end of the list).
    """

    def __init__(self) -> None:
        self._gate, self._idle = asyncio.Lock(), asyncio.Event()
        self._idle.set()
        self._adapted, self._running = False, 0

    @asynccontextmanager
    async def turn(self, *, adapted: bool) -> AsyncIterator[None]:
        async with self._gate:
            if adapted != self._adapted:
                await self._idle.wait()
            self._adapted, self._running = adapted, self._running + 1
            self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


def _key(folder: str) -> Key:
    files = sorted(Path(folder).glob("adapter_*"))
    return folder, tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


__all__ = ["LoadedAdapters", "Turns"]
