"""The one object the rest of the runtime sees of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from runtime.config.check import typed
from runtime.config.secrets import Hidden
from runtime.config.source import Source
from runtime.errors import ConfigError

T = TypeVar("T")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]  # a day
Bytes = Annotated[int, msgspec.Meta(gt=0, le=2**50)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class PilotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[pilot]`` table: our own settings. Times are seconds."""

    body_limit: Bytes = 100_000_000    # bytes of a request's body, or "100MB"
    load_timeout: Seconds = 600        # how long a request waits for a model that is still loading
    drain: Seconds = 30                # how long leaving waits for requests in flight
    wait_until: Seconds = 30           # how long ctx.waitUntil tasks may live after their response
    padding: bool | None = None        # Workers AI's "p" field; None: off in dev, on for a host
    engine: str | None = None          # which engine to run models on; None: the best that works
    openai_routes: bool | None = None  # OpenAI's routes under /v1; None: on in dev, the worker's own on a host
    cors: tuple[str, ...] = ()         # origins of pages that may use the REST routes; "*": of any
    engine_metrics: bool = False       # vLLM's own metrics too, beside ours; they cost time per token
    otlp: str | None = None            # an OpenTelemetry collector (OTLP/HTTP); None: as OTEL_* variables say
    models: str = "models.yaml"        # your own models, beside the configuration
    batch_concurrency: Annotated[int, msgspec.Meta(gt=0, le=1024)] = 8  # queued requests that run at once
    gateway_cache: Bytes = 256 << 20   # bytes of answers that AI Gateways keep, or "256MiB"
    gateway_logs: Bytes = 64 << 20     # bytes of logs that AI Gateways keep
    gateways: Mapping[str, Mapping[str, Any]] = {}  # [pilot.gateways.NAME]: an AI Gateway's own settings


class DevSettings(msgspec.Struct, frozen=True):
    """The ``[dev]`` table; the command line overrides it."""

    ip: str | None = None
    port: Port | None = None


@dataclass(frozen=True)
class Config:
    """A worker's configuration, resolved and checked. Paths are absolute; ``repr`` shows no secret."""

    path: Path | None                  # the file read; None for `pilot dev entry.py`
    root: Path                         # its folder
    name: str
    main: Path                         # the entry script
    environment: str | None = None     # --env
    compatibility_date: str | None = None
    compatibility_flags: tuple[str, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)       # JSON values
    secrets: Mapping[str, str] = field(default_factory=Hidden)  # override vars of the same name
    products: Mapping[str, Any] = field(default_factory=dict)   # a key of bindings.PRODUCTS → its table
    pilot: PilotSettings = field(default_factory=PilotSettings)
    packages: tuple[Path, ...] = ()    # folders of what it depends on, besides the interpreter's
    domains: tuple[str, ...] = ()      # hostnames of its own: routes with custom_domain
    limits: Mapping[str, float] = field(default_factory=dict)   # [limits]; a host keeps them
    dev: DevSettings = field(default_factory=DevSettings)
    warnings: tuple[str, ...] = ()
    local_warnings: tuple[str, ...] = ()   # those of them that are about .dev.vars and .env, which are never sent
    source: Source = field(default_factory=Source)
    places: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict, repr=False)  # key → path

    def typed(self, key: str, kind: type[T]) -> T:
        """``products[key]`` as a msgspec type; a mismatch is a ``ConfigError`` with file, key, remedy."""
        return typed(self.source, self.places.get(key, (key,)), self.products[key], kind)

    def at(self, key: str, *inside: str | int) -> str:
        """Where ``key`` is, or a place ``inside`` its table: ``wrangler.toml: pilot.engine``."""
        return self.source.at(*self.places.get(key, (key,)), *inside)

    def error(self, key: str, what: str, *inside: str | int, remedy: str = "") -> ConfigError:
        """A complaint about ``key``, or about a place ``inside`` its table."""
        return self.source.error((*self.places.get(key, (key,)), *inside), what, remedy)
