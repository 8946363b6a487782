"""A request's options for an AI Gateway: ``options.gateway`` of the binding, ``cf-aig-*`` headers of REST.

Facts: docs/reference/workers-ai.md#ai-gateway.

Both become one ``GatewayOptions``. Null means absent, and unknown keys are tolerated, as everywhere; a value
out of its range is refused with 5006.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from bindings.ai.errors import ModelError, bad_input
from bindings.ai.settings import AISettings
from runtime.config import Config

MONTH_S = 31 * 24 * 3600
DEFAULT_GATEWAY = "default"  # the gateway meant by headers that name none
MAX_METADATA = 5  # entries; upstream drops the others as well
KEYED_TTL_S = 300  # how long a cached answer lives when a cacheKey is given and nothing else says
HEADER_PREFIX = b"cf-aig-"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Ttl = Annotated[int, msgspec.Meta(ge=60, le=MONTH_S)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Scalar = str | int | float | bool


class Retries(msgspec.Struct, frozen=True, rename="camel"):
    """Attempts in all, and the milliseconds between them."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    retry_delay_ms: Annotated[float, msgspec.Meta(ge=0, le=5000)] = 500
    backoff: Literal["constant", "linear", "exponential"] = "constant"

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th failure, counted from 1."""
        factor: int = {"constant": 1, "linear": attempt, "exponential": 2 ** (attempt - 1)}[self.backoff]
        return self.retry_delay_ms * factor / 1000


class GatewayOptions(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``cache_ttl`` is seconds, ``request_timeout_ms`` milliseconds to the first byte."""

    id: Name
    skip_cache: bool = False
    cache_ttl: Ttl | None = None
    cache_key: Text | None = None
    collect_log: bool | None = None
    metadata: dict[str, Scalar] = {}
    event_id: Text | None = None
    request_timeout_ms: Annotated[float, msgspec.Meta(gt=0, le=3_600_000)] | None = None
    retries: Retries = Retries()


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[pilot.gateways.NAME]``, under the names of Cloudflare's own gateway settings; times are seconds."""

    cache_ttl: Ttl | None = None  # None: nothing is cached unless the request asks for it
    collect_logs: bool = True
    rate_limiting_limit: Annotated[int, msgspec.Meta(gt=0)] | None = None
    rate_limiting_interval: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 60
    rate_limiting_technique: Literal["fixed", "sliding"] = "fixed"


def parse_gateway(value: object) -> GatewayOptions:
    """``options.gateway``. Raises ModelError 5006."""
    try:
        return msgspec.convert(_without_nulls(value), GatewayOptions)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None


def gateway_settings(config: Config) -> Mapping[str, GatewaySettings]:
    """Every ``[pilot.gateways.NAME]``. Raises ConfigError."""
    gateways = {}
    for name, table in config.settings(AISettings).gateways.items():
        try:
            gateways[msgspec.convert(name, Name)] = msgspec.convert(table, GatewaySettings)
        except msgspec.ValidationError as error:
            known = ", ".join(GatewaySettings.__struct_fields__)
            raise config.error("pilot", str(error), "gateways", name, remedy=f"It takes: {known}") from None
    return gateways


def merge_gateway(options: dict[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The options of a ``run`` and what ``cf-aig-*`` headers say of the gateway; ``options.gateway`` overrides them."""
    by_headers, by_options = gateway_from_headers(headers), options.get("gateway") or {}
    if by_headers is None or not isinstance(by_options, dict):
        return options
    return {**options, "gateway": {**by_headers, **by_options}}


def gateway_from_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any] | None:
    """``options.gateway`` out of headers (lower-case names); None when there are none of a gateway's.

    ``cf-aig-authorization`` is the gateway's own lock, and there is none here: it is dropped unread.
    """
    named = {
        name: value.decode("latin-1")
        for name, value in headers
        if name.startswith(HEADER_PREFIX) or name in _LEGACY_HEADERS
    }
    if not named:
        return None
    options: dict[str, Any] = {"id": DEFAULT_GATEWAY}
    for name, text in named.items():
        if (option := HEADER_OPTIONS.get(name)) is not None:
            _put(options, option, name, text)
    return options


def encode_headers(headers: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Headers of a worker's own making as ``gateway_from_headers`` reads them."""
    return [(str(name).lower().encode(), str(value).encode("latin-1", "replace")) for name, value in headers.items()]


def _put(options: dict[str, Any], option: tuple[str, Callable[[str], Any]], name: bytes, text: str) -> None:
    path, read = option
    *inside, key = path.split(".")
    try:
        (options.setdefault(inside[0], {}) if inside else options)[key] = read(text.strip())
    except (ValueError, msgspec.DecodeError):
        raise _refused(f"the header {name.decode()} cannot be read") from None


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


HEADER_OPTIONS: dict[bytes, tuple[str, Callable[[str], Any]]] = {
    b"cf-aig-gateway-id": ("id", str),
    b"cf-aig-skip-cache": ("skipCache", _flag),
    b"cf-aig-cache-ttl": ("cacheTtl", int),
    b"cf-aig-cache-key": ("cacheKey", str),
    b"cf-aig-metadata": ("metadata", msgspec.json.decode),
    b"cf-aig-collect-log": ("collectLog", _flag),
    b"cf-aig-event-id": ("eventId", str),
    b"cf-aig-request-timeout": ("requestTimeoutMs", float),
    b"cf-aig-max-attempts": ("retries.maxAttempts", int),
    b"cf-aig-retry-delay": ("retries.retryDelayMs", float),
    b"cf-aig-backoff": ("retries.backoff", str),
    b"cf-skip-cache": ("skipCache", _flag),
    b"cf-cache-ttl": ("cacheTtl", int),
}
_LEGACY_HEADERS = frozenset(name for name in HEADER_OPTIONS if not name.startswith(HEADER_PREFIX))


def _without_nulls(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {str(key): _without_nulls(item) for key, item in value.items() if item is not None}


def _refused(what: str) -> ModelError:
    return bad_input(f"options.gateway: {what}")


__all__ = [
    "GatewayOptions",
    "GatewaySettings",
    "Retries",
    "encode_headers",
    "gateway_from_headers",
    "gateway_settings",
    "merge_gateway",
    "parse_gateway",
]
