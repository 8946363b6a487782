"""OpenTelemetry: requests as spans, sent to a collector over OTLP/HTTP where one is configured.

``[pilot] otlp`` or OpenTelemetry's own environment variables say where: ``OTEL_EXPORTER_OTLP_ENDPOINT``, and with it
the rest of them (headers, service name, sampler). The libraries are imported only then. They send from a thread
of their own, and give up what they cannot send; a request never waits for them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from runtime.extras import install
from runtime.tracing import NO_SPAN, Kind, Span

_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_FLUSH_TIMEOUT_S = 3.0  # seconds that leaving waits for the last spans to be sent


class Tracer(Protocol):
    @property
    def on(self) -> bool:
        """Whether it makes spans now."""

    def request(self, scope: Mapping[str, Any]) -> Span:
        """The span of an ASGI request, a child of the client's own if it sent ``traceparent``."""

    def event(self, name: str, facts: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Span:
        """The span of what is no request, with which a trace begins; ``headers``: of the span in another process that
        it is a child of."""

    async def aclose(self) -> None: ...


class NoTracer:
    on = False

    def request(self, scope: Mapping[str, Any]) -> Span:
        return NO_SPAN

    def event(self, name: str, facts: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Span:
        return NO_SPAN

    async def aclose(self) -> None:
        """Nothing to send."""


def make_tracer(name: str, endpoint: str | None, warn: Callable[[str], None]) -> Tracer:
    """To ``endpoint``, else to where the environment says. ``name`` is the service's."""
    configured = endpoint or any(os.environ.get(name) for name in _ENDPOINT_VARIABLES)
    if not configured or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracer()
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        warn(f"traces are wanted, and OpenTelemetry is not installed; no span is sent\n{install('otel')}")
        return NoTracer()
    return OpenTelemetry(name, endpoint)


class OpenTelemetry:
    """``endpoint``: a collector's address, without ``/v1/traces``; None for what the environment says."""

    on = True

    def __init__(self, name: str, endpoint: str | None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": name})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces") if endpoint else OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("pilotlight")
        self._propagator = TraceContextTextMapPropagator()

    def request(self, scope: Mapping[str, Any]) -> Span:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = self._propagator.extract({name: headers.get(name, "") for name in ("traceparent", "tracestate")})
        host, port = scope.get("server") or ("", None)
        facts = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "server.address": host,
            "server.port": port,
            "user_agent.original": headers.get("user-agent"),
        }
        return self.begin(scope["method"], "server", facts, context)

    def event(self, name: str, facts: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Span:
        return self.begin(name, "internal", facts, self._propagator.extract(headers))

    def begin(self, name: str, kind: Kind, attributes: Mapping[str, Any], context: Any) -> Span:
        from opentelemetry.trace import SpanKind

        present = {key: value for key, value in attributes.items() if value is not None}
        return _Span(self, self._tracer.start_span(name, context, SpanKind[kind.upper()], present))

    def headers(self, context: Any) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        return carrier

    async def aclose(self) -> None:
        """Send what is left. In a thread that nobody waits for longer than that: the collector may be gone."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, _FLUSH_TIMEOUT_S)


class _Span:
    """One span of OpenTelemetry's."""

    def __init__(self, tracer: OpenTelemetry, span: Any) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer, self._span, self.over = tracer, span, False
        self._context = set_span_in_context(span)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._tracer.headers(self._context)

    def child(self, name: str, kind: Kind = "internal", attributes: Mapping[str, Any] | None = None) -> Span:
        return self._tracer.begin(name, kind, attributes or {}, self._context)

    def set(self, attributes: Mapping[str, Any]) -> None:
        self._span.set_attributes({key: value for key, value in attributes.items() if value is not None})

    def end(self, failure: BaseException | str | None = None) -> None:
        if failure is not None and not isinstance(failure, asyncio.CancelledError | GeneratorExit):
            self._fail(failure)
        self.over = True
        self._span.end()

    def _fail(self, failure: BaseException | str) -> None:
        """With the exception's name; not its text, which may quote what a client sent."""
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", failure if isinstance(failure, str) else type(failure).__name__)
        self._span.set_status(StatusCode.ERROR)


__all__ = ["NoTracer", "Tracer", "make_tracer"]
