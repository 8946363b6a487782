"""From an engine's deltas to an answer: one JSON result, or a stream of events encoded once."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import msgspec

from bindings.ai.answers import constraints, sse
from bindings.ai.answers.encoders import Encoder, encoder_of
from bindings.ai.answers.model_stream import EngineDeltas, ModelStream, Refusal, StreamStats, TokenStream
from bindings.ai.catalog.resolve import Served
from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engines.accumulator import Choice, index_of
from bindings.ai.inputs.text import TextRequest


class RunAnswer(msgspec.Struct, frozen=True):
    """``json`` or ``stream``, and the headers that go with it."""

    headers: dict[str, str]
    stats: StreamStats
    json: Any = None
    stream: TokenStream | ModelStream | None = None


class ResponseBuilder(msgspec.Struct, frozen=True):
    """Makes one request's answer of its deltas. ``refusal`` makes Workers AI's error of what broke a stream."""

    served: Served
    request: TextRequest
    request_id: str
    stats: StreamStats
    refusal: Refusal

    async def begin(self, deltas: EngineDeltas, *, padding: bool, await_first_token: bool = False) -> RunAnswer:
        """The whole result; or, for a stream, its answer as soon as the engine has taken the request.

        ``await_first_token``: not before its first token; a gateway retries what fails until then.
        """
        encoder = encoder_of(self.request, self.served.model, padding=padding)
        common = headers(self.served, self.request_id)
        constrained = constraints.is_constrained(self.request.generate)
        checked: DeltaIterator = deltas
        if constrained:
            checked = constraints.checked(deltas, self.request.generate, self.request.choices)
        if not self.request.stream:
            return RunAnswer(common, self.stats, json=await self._result(checked, encoder))
        plain = None if constrained else deltas
        stream = ModelStream(checked, plain, encoder, self.stats, self.refusal, self.request_id)
        await stream.begin(await_first_token)
        return RunAnswer({**common, **sse.HEADERS}, self.stats, stream=stream)

    async def _result(self, deltas: DeltaIterator, encoder: Encoder) -> dict[str, Any]:
        choices = [Choice() for _ in range(self.request.choices)]
        async with aclosing(deltas):
            async for delta in deltas:
                self.stats.count(delta)
                choices[index_of(delta)].add(delta)
        return encoder.result(choices, self.stats.usage)


def headers(served: Served, request_id: str) -> dict[str, str]:
    """The headers of every answer. ``cf-ai-neurons`` is what the service bills; nothing is billed here."""
    common = {"cf-ai-req-id": request_id, "cf-ai-neurons": "0"}
    return {**common, "cf-ai-stand-in": served.answers} if served.stand_in else common


__all__ = ["ResponseBuilder", "RunAnswer", "StreamStats", "TokenStream", "headers"]
