"""Workers AI's service with an engine in this very process, for the tests that look inside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from bindings.ai.catalog.resolve import Catalog
from bindings.ai.engine.protocol import Delta, Engine, EngineSpec, Generate
from bindings.ai.engines.echo import EchoEngine
from bindings.ai.replicas.placement import Placed, Placement
from bindings.ai.service import AIService, ServiceSettings

INT8 = "@cf/meta/llama-2-7b-chat-int8"
USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


class Terminal:
    """What the service tells the person, kept."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.faults: list[BaseException] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        self.faults.append(exc)


class InProcess:
    """Engines of this very process, by spec: the pool's interface without its processes."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.asked, self.kept = engine, [], []  # type: ignore[var-annotated]

    def get(self, spec: EngineSpec, placement: Placement | None = None) -> Engine:
        self.asked.append(spec)
        return self.engine

    async def reconcile(self, wanted: Iterable[Placed]) -> None:
        self.kept = [spec for spec, _ in wanted]

    async def aclose(self) -> None:
        await self.engine.aclose()


class Scripted:
    """An engine that gives these deltas and then, if told so, fails."""

    def __init__(self, deltas: list[Delta], error: Exception | None = None) -> None:
        self.deltas, self.error, self.live = deltas, error, 0

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        self.live += 1
        try:
            for delta in self.deltas:
                yield delta
            if self.error is not None:
                raise self.error
        finally:
            self.live -= 1


def serve(engine: Any, **settings: Any) -> AIService:
    return AIService(InProcess(engine), Catalog(), ServiceSettings(**{"engine": "echo", **settings}), Terminal())


async def echo(**options: Any) -> EchoEngine:
    return await EchoEngine.open(EngineSpec(engine="echo", model="echo", options=options), lambda *_: None)


async def read(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in stream])
