"""What models did, by model: counted once per request, when it ends; nothing is done per token.

The time between tokens is therefore the mean of each answer, weighted with its tokens; an engine's own metrics
(vLLM's), passed on where it keeps any, have it token by token.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from bindings.ai.answers.model_stream import StreamStats
from bindings.ai.engine.delta_stream import DeltaStream, Sink
from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engine.protocol import Delta, EngineSpec
from bindings.ai.engine.room import Room
from bindings.ai.observe import tracing
from runtime.metrics import Counter, Histogram, gauge
from runtime.tracing import Span, current
from runtime.wire import flowing, sink_of

if TYPE_CHECKING:  # not needed before the first scrape
    from prometheus_client import Metric

_FIRST_TOKEN_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5, 10, 20, 40, 80, 160)
_BETWEEN_TOKENS_S = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_DURATION_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)


class Meter:
    """Counts requests to models. ``begin`` one, and ``end`` it or let its ``watch``ed deltas do so."""

    def __init__(self) -> None:
        self._live: set[ModelCall] = set()
        self._requests = Counter("pilot_ai_requests", "Requests to models, by how they ended.", "model", "outcome")
        self._input = Counter("pilot_ai_input_tokens", "Tokens read by models.", "model")
        self._output = Counter("pilot_ai_output_tokens", "Tokens made by models.", "model")
        self._first = Histogram(
            "pilot_ai_time_to_first_token_seconds", "From a request to its first token.", _FIRST_TOKEN_S, "model"
        )
        self._between = Histogram(
            "pilot_ai_inter_token_latency_seconds",
            "Between tokens: each answer's mean, once per token.",
            _BETWEEN_TOKENS_S,
            "model",
        )
        self._whole = Histogram(
            "pilot_ai_request_duration_seconds", "From a request to the end of its answer.", _DURATION_S, "model"
        )

    def begin(self, stats: StreamStats, span: Span) -> ModelCall:
        call = ModelCall(self, stats, span)
        self._live.add(call)
        return call

    def ended(self, call: ModelCall, outcome: str) -> None:
        self._live.discard(call)
        stats, seconds = call.stats, time.perf_counter() - call.stats.started
        self._requests.add(stats.model, outcome)
        self._input.add(stats.model, by=stats.prompt_tokens)
        self._output.add(stats.model, by=stats.tokens)
        self._whole.observe(seconds, stats.model)
        if stats.first is not None:
            self._first.observe(stats.first, stats.model)
            if (gaps := stats.tokens - 1) > 0:
                self._between.observe((seconds - stats.first) / gaps, stats.model, times=gaps)

    def families(self) -> list[Metric]:
        waiting = Tally(call.stats.model for call in self._live if call.stats.first is None)
        running = Tally(call.stats.model for call in self._live if call.stats.first is not None)
        counted = (self._requests, self._input, self._output, self._first, self._between, self._whole)
        return [
            gauge("pilot_ai_requests_waiting", "Requests whose answer has not begun.", "model", dict(waiting)),
            gauge("pilot_ai_requests_running", "Requests being answered.", "model", dict(running)),
            *(each.family() for each in counted),
        ]


class ModelCall:
    """One request to a model. ``outcome``: the finish reason of the answer, ``aborted`` or ``error``."""

    __slots__ = ("_meter", "_span", "stats")

    def __init__(self, meter: Meter, stats: StreamStats, span: Span) -> None:
        self.stats, self._span = stats, span
        self._meter: Meter | None = meter

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Who is asked here is asked for this call: its span is ``current``."""
        outer = current.set(self._span)
        try:
            yield
        finally:
            current.reset(outer)

    def watch(self, deltas: DeltaIterator) -> MeteredDeltas:
        """The same deltas, whose end is this call's end."""
        return MeteredDeltas(deltas, self)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """For an answer that comes in one piece: it ends with the block."""
        try:
            with self.inside():
                yield
        except asyncio.CancelledError:
            self.end("aborted")
            raise
        except Exception:
            self.end("error")
            raise
        self.end("stop")

    def end(self, outcome: str) -> None:
        """Once; what comes after counts no more."""
        meter, self._meter = self._meter, None
        if meter is not None:
            meter.ended(self, outcome)
            tracing.ended(self._span, self.stats, outcome)


class MeteredDeltas:
    """Deltas whose closing is noticed, without a layer per token: whoever iterates has the generator itself."""

    __slots__ = ("_call", "_deltas")

    def __init__(self, deltas: DeltaIterator, call: ModelCall) -> None:
        self._deltas, self._call = deltas, call

    def __aiter__(self) -> AsyncIterator[Delta]:
        return aiter(self._deltas)

    def attach_sink(self, take: Sink) -> None:
        """See ``DeltaStream.attach_sink``."""
        if (attach_sink := sink_of(self._deltas)) is not None:
            attach_sink(take)

    @property
    def flows(self) -> bool:
        return flowing(self._deltas) is not None

    def flow(self, take: Callable[[list[Any]], bool], ended: Callable[[], None], held: Callable[[], None]) -> None:
        """See ``DeltaStream.flow``."""
        assert isinstance(self._deltas, DeltaStream)
        self._deltas.flow(take, ended, held)

    def hold(self) -> None:
        """The same."""
        assert isinstance(self._deltas, DeltaStream)
        self._deltas.hold()

    def finish(self) -> None:
        """What has flowed has come to its end."""
        self._end_flow("error")

    def drop(self) -> None:
        """What flows is not wanted any more."""
        self._end_flow("aborted")

    def _end_flow(self, outcome: str) -> None:
        assert isinstance(self._deltas, DeltaStream)
        self._deltas.drop()
        self._call.end(self._call.stats.finish_reason or outcome)

    async def __anext__(self) -> Delta:
        return await self._deltas.__anext__()

    async def aclose(self) -> None:
        """Whoever closes it while being cancelled, or closed, wants no more; else the engine broke off."""
        aborted = isinstance(sys.exception(), asyncio.CancelledError | GeneratorExit)
        try:
            await self._deltas.aclose()
        finally:
            self._call.end(self._call.stats.finish_reason or ("aborted" if aborted else "error"))


class MeteredClient(Protocol):
    """An engine (``bindings.ai.engine.client``). ``replica``: which of a model's several; ``room``: its machine."""

    spec: EngineSpec
    replica: int | None
    room: Room

    async def metrics(self) -> str: ...


async def engine_families(clients: Sequence[MeteredClient], name_of: Callable[[EngineSpec], str]) -> list[Metric]:
    """What engines tell of themselves, with the name of the model each is for."""
    texts = await asyncio.gather(*(client.metrics() for client in clients))
    families = [
        labelled(text, name_of(client.spec), client.replica, client.room.node)
        for client, text in zip(clients, texts, strict=True)
    ]
    return [family for of_engine in families for family in of_engine]


def labelled(text: str, model: str, replica: int | None = None, node: str = "") -> Iterable[Metric]:
    """An engine's own metrics, each sample with the model it is about, its replica and, of a cluster, its node."""
    from prometheus_client.parser import text_string_to_metric_families

    of = {"model": model} if replica is None else {"model": model, "replica": str(replica)}
    of |= {"node": node} if node else {}
    for family in text_string_to_metric_families(text):
        family.samples = [sample._replace(labels={**sample.labels, **of}) for sample in family.samples]
        yield family


__all__ = ["Meter", "MeteredDeltas", "ModelCall", "engine_families"]
