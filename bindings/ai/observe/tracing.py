"""The span of a request to a model, after OpenTelemetry's semantic conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. What was asked and answered is not recorded.
"""

from __future__ import annotations

from typing import Any

from bindings.ai.answers.answer import StreamStats
from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.resolve import Served
from bindings.ai.engine.protocol import Generate
from runtime.tracing import NO_SPAN, Span, current

_OPERATIONS = {"Text Embeddings": "embeddings"}  # the conventions have no names for other tasks


def generation(served: Served, request: Generate, request_id: str) -> Span:
    """A generation's span, begun, if the HTTP request is traced; ``headers`` have the engine's ``traceparent``."""
    parent = current.get()
    if parent is NO_SPAN:
        return NO_SPAN
    operation = "chat" if request.messages is not None else "text_completion"
    return _start_span(parent, operation, served, request_id, {
        "gen_ai.request.max_tokens": None if request.fill else request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p, "gen_ai.request.top_k": request.top_k,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.frequency_penalty": request.frequency_penalty,
        "gen_ai.request.presence_penalty": request.presence_penalty,
        "gen_ai.request.stop_sequences": request.stop or None,
        "gen_ai.request.choice.count": request.n if request.n != 1 else None,
    })  # fmt: skip


def task(served: Served, request_id: str) -> Span:
    """The same for a task other than text generation."""
    parent = current.get()
    if parent is NO_SPAN:
        return NO_SPAN
    name = kind(served.model)
    return _start_span(parent, _OPERATIONS.get(name, name.lower().replace(" ", "_")), served, request_id, {})


def _start_span(parent: Span, operation: str, served: Served, request_id: str, more: dict[str, Any]) -> Span:
    return parent.child(f"{operation} {served.model.id}", "client", {
        "gen_ai.operation.name": operation, "gen_ai.provider.name": served.spec.engine,
        "gen_ai.request.model": served.model.id, "gen_ai.response.model": served.spec.model,
        "gen_ai.response.id": request_id, **more,
    })  # fmt: skip


def ended(span: Span, stats: StreamStats, outcome: str) -> None:
    if span is NO_SPAN:
        return
    span.set({
        "gen_ai.usage.input_tokens": stats.prompt_tokens, "gen_ai.usage.output_tokens": stats.tokens,
        "gen_ai.usage.cache_read.input_tokens": stats.cached_tokens or None,
        "gen_ai.response.finish_reasons": [stats.finish_reason] if stats.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": stats.first,
    })  # fmt: skip
    span.end("error" if outcome == "error" else None)


__all__ = ["ended", "generation", "task"]
