"""The one object the rest of the runtime sees of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from runtime.config.check import typed
from runtime.config.secrets import Hidden
from runtime.config.source import Source
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from bindings.unserved import Unserved

T = TypeVar("T")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]  # a day
Bytes = Annotated[int, msgspec.Meta(gt=0, le=2**50)]
Rate = Annotated[int, msgspec.Meta(ge=0, le=2**30)]
Hostname = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$")]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class PilotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[pilot]`` table, less what products have in it. Times are seconds."""

    body_limit: Bytes = 100_000_000  # bytes of a request's body, or "100MB"
    drain: Seconds = 30  # how long leaving waits for requests in flight
    head_timeout: Seconds = 20  # how long a client may take to send a request's head; 0: for ever, as with the next two
    body_timeout: Seconds = 20  # how far a request's body may fall behind body_rate
    body_rate: Rate = 500  # bytes per second
    answer_timeout: Seconds = 60  # how long a client may take nothing of its answer
    wait_until: Seconds = 30  # how long ctx.waitUntil tasks may live after their response
    hosts: tuple[Hostname, ...] = ()  # names of this machine besides its own, under which our own routes answer
    otlp: str | None = None  # an OpenTelemetry collector (OTLP/HTTP); None: as OTEL_* variables say


class DevSettings(msgspec.Struct, frozen=True):
    """The ``[dev]`` table; the command line overrides it."""

    ip: str | None = None
    port: Port | None = None


class Version(msgspec.Struct, frozen=True):
    """Which upload this is, as a worker may be told. ``created``: ISO 8601, UTC."""

    id: str
    tag: str
    created: str


class Config(msgspec.Struct, frozen=True):
    """A worker's configuration, resolved and checked. Paths are absolute; ``repr`` shows no secret."""

    path: Path | None  # the file read; None for `pilot dev entry.py`
    root: Path  # its folder
    name: str
    main: Path | None  # the entry script; None: a product answers every request
    environment: str | None = None  # --env
    compatibility_date: str | None = None
    compatibility_flags: tuple[str, ...] = ()
    vars: Mapping[str, Any] = {}  # JSON values
    secrets: Mapping[str, str] = msgspec.field(default_factory=Hidden)  # override vars of the same name
    products: Mapping[str, Any] = {}  # a key of bindings.PRODUCTS → its table
    unserved: Mapping[str, Unserved] = {}  # name in env → what it asks for in vain
    pilot: PilotSettings = msgspec.field(default_factory=PilotSettings)
    extras: Mapping[type, Any] = {}  # the products' part of [pilot]; see ``settings``
    version: Version | None = None  # of an upload; None: a folder that is watched
    packages: tuple[Path, ...] = ()  # folders of what it depends on, besides the interpreter's
    domains: tuple[str, ...] = ()  # hostnames of its own: routes with custom_domain
    limits: Mapping[str, float] = {}  # [limits]; a host keeps them
    dev: DevSettings = msgspec.field(default_factory=DevSettings)
    warnings: tuple[str, ...] = ()
    local_warnings: tuple[str, ...] = ()  # those of them that are about .dev.vars and .env, which are never sent
    source: Source = msgspec.field(default_factory=Source)
    places: Mapping[str, tuple[str | int, ...]] = {}  # key → path

    @property
    def folder(self) -> Path:
        """Where the worker's own code is."""
        return self.root if self.main is None else self.main.parent

    def typed(self, key: str, kind: type[T]) -> T:
        """``products[key]`` as a msgspec type; a mismatch is a ``ConfigError`` with file, key, remedy."""
        return typed(self.source, self.places.get(key, (key,)), self.products[key], kind)

    def tables(self, key: str, kind: type[T]) -> list[T]:
        """``products[key]`` as a list of such tables; an empty one where the key is absent. Raises ConfigError."""
        found: list[T] = self.typed(key, list[kind]) if key in self.products else []  # type: ignore[valid-type]
        return found

    def settings(self, kind: type[T]) -> T:
        """A product's part of ``[pilot]``, by its type."""
        found: T | None = self.extras.get(kind)
        return kind() if found is None else found

    def at(self, key: str, *inside: str | int) -> str:
        """Where ``key`` is, or a place ``inside`` its table: ``wrangler.toml: pilot.engine``."""
        return self.source.at(*self.places.get(key, (key,)), *inside)

    def error(self, key: str, what: str, *inside: str | int, remedy: str = "") -> ConfigError:
        """A complaint about ``key``, or about a place ``inside`` its table."""
        return self.source.error((*self.places.get(key, (key,)), *inside), what, remedy)
