"""An answer on its way out of an AI Gateway: logged, cached, or played out of the cache."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec.structs import replace

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.answers.model_stream import ModelStream, StreamStats, TokenStream
from bindings.ai.answers.sse import DONE
from bindings.ai.gateway.log import HEAD_BYTES, Log
from bindings.ai.gateway.store import CachedAnswer, CacheSlot


class Recorder(msgspec.Struct, frozen=True):
    """Logs an answer on its way out, and caches it in ``slot`` when it is new and turns out good and whole."""

    log: Log
    slot: CacheSlot | None
    hit: bool = False

    async def record(self, answer: RunAnswer) -> RunAnswer:
        if self.slot is not None:
            self.log.headers["cf-aig-cache-status"] = "HIT" if self.hit else "MISS"
        answered = replace(answer, headers={**answer.headers, **self.log.headers})
        if answer.stream is None:
            content = msgspec.json.encode(answer.json)
            self.log.answered(answer.stats, content, cached=self.hit)
            self._keep(answer, json=content)
            return answered
        self.log.begun(cached=self.hit)
        events = self._events(answer, answer.stream)
        await anext(events)  # begun: from here on, closing these events closes those
        return replace(answered, stream=TokenStream(events, answer.stats))

    async def _events(self, answer: RunAnswer, stream: TokenStream | ModelStream) -> AsyncGenerator[bytes, None]:
        """The events as they are, remembered. The first item is empty."""
        chunks: list[bytes] = []
        whole, size, room = False, 0, max(HEAD_BYTES, self.slot.store.largest if self.slot else 0)
        try:
            async with aclosing(stream):
                yield b""
                async for chunk in stream:
                    if size < room:
                        chunks.append(chunk)
                    size += len(chunk)
                    yield chunk
                    whole = chunk.endswith(DONE)
        finally:
            self.log.ended(answer.stats, chunks, size, whole)
            if whole and size <= room:
                self._keep(answer, chunks=chunks)

    def _keep(self, answer: RunAnswer, **content: Any) -> None:
        if self.slot is not None and not self.hit:
            headers = {name: value for name, value in answer.headers.items() if name != "cf-ai-req-id"}
            self.slot.keep(CachedAnswer(headers, answer.stats.tokens, answer.stats.prompt_tokens, **content))


def cached_answer(hit: CachedAnswer, model: str, request_id: str) -> RunAnswer:
    """The answer out of the cache; what was a stream is one again, event by event."""
    stats = StreamStats(model, tokens=hit.tokens, prompt_tokens=hit.prompt_tokens, finish_reason="stop")
    headers = {**hit.headers, "cf-ai-req-id": request_id}
    if hit.chunks is None:
        return RunAnswer(headers, stats, json=msgspec.json.decode(hit.json))
    return RunAnswer(headers, stats, stream=TokenStream(_replay(hit.chunks), stats))


async def _replay(chunks: list[bytes]) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk


__all__ = ["Recorder", "cached_answer"]
