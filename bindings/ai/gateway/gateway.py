"""AI Gateway: cache, rate limit, retries, time limit and logs around one ``run``.

Facts: docs/reference/workers-ai.md#ai-gateway.

A request names a gateway in ``options.gateway``; any name will do, and ``[pilot.gateways.NAME]`` gives one its
settings. Requests that name none never come here.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from bindings.ai.answers.answer import RunAnswer
from bindings.ai.errors import ModelError, rate_limited, timed_out
from bindings.ai.gateway.log import Log
from bindings.ai.gateway.options import KEYED_TTL_S, GatewayOptions, GatewaySettings, parse_gateway
from bindings.ai.gateway.rate import RateLimit
from bindings.ai.gateway.recorder import Recorder, cached_answer
from bindings.ai.gateway.store import CacheSlot, GatewayStore

Make = Callable[[], Awaitable[RunAnswer]]  # asks the model
RETRIED_STATUSES = frozenset({408, 429})  # and 5xx: another attempt at anything else would end the same way


class GatewayCall(msgspec.Struct, frozen=True):
    """One ``run``. ``identity()``: what would answer it, engine and weights: only the same ones share a cached answer.

    ``identity`` raises ModelError for a model there is not.
    """

    model: str
    inputs: Any
    options: Mapping[str, Any]
    request_id: str
    form: str
    identity: Callable[[], Any]


class Gateways:
    """Every gateway. Settings come with each configuration; rate limits are counted across them."""

    def __init__(self, store: GatewayStore) -> None:
        self.store = store
        self._settings: Mapping[str, GatewaySettings] = {}
        self._limits: dict[tuple[str, GatewaySettings], RateLimit] = {}

    async def run(self, call: GatewayCall, make: Make) -> RunAnswer:
        """The answer that ``make`` gives, or a cached one. Raises ModelError, its ``headers`` naming the log."""
        options = parse_gateway(call.options["gateway"])
        settings = self._settings.get(options.id, GatewaySettings())
        log = Log(self.store, call.model, call.inputs, options, _collects(options, settings))
        try:
            self._check_rate(options.id, settings)
            slot = self._slot(call, options, settings)
            if slot is not None and (hit := await slot.find()) is not None:
                return await Recorder(log, slot, hit=True).record(cached_answer(hit, call.model, call.request_id))
            return await Recorder(log, slot).record(await _with_retries(make, options))
        except ModelError as error:
            log.refused(error)
            error.headers = log.headers
            raise

    def configure(self, settings: Mapping[str, GatewaySettings], cache_bytes: int, log_bytes: int) -> None:
        self._settings = settings
        self.store.limit(cache_bytes=cache_bytes, log_bytes=log_bytes)

    async def aclose(self) -> None:
        await self.store.aclose()

    def _check_rate(self, name: str, settings: GatewaySettings) -> None:
        if settings.rate_limiting_limit is None:
            return
        limit = self._limits.get((name, settings))
        if limit is None:
            limit = self._limits[name, settings] = RateLimit(
                settings.rate_limiting_limit,
                settings.rate_limiting_interval,
                sliding=settings.rate_limiting_technique == "sliding",
            )
        if not limit.admits(time.monotonic()):
            raise rate_limited()

    def _slot(self, call: GatewayCall, options: GatewayOptions, settings: GatewaySettings) -> CacheSlot | None:
        """Where the answer is cached; None: neither read nor write the cache."""
        ttl = options.cache_ttl or settings.cache_ttl or (KEYED_TTL_S if options.cache_key else None)
        return None if options.skip_cache or ttl is None else CacheSlot(self.store, _cache_key(call, options), ttl)


async def _with_retries(make: Make, options: GatewayOptions) -> RunAnswer:
    """The first good answer within the attempts there are; else the last error."""
    attempt = 1
    while True:
        try:
            return await _with_timeout(make, options.request_timeout_ms)
        except ModelError as error:
            if attempt >= options.retries.max_attempts or not (error.status in RETRIED_STATUSES or error.status >= 500):
                raise
        await asyncio.sleep(options.retries.delay(attempt))
        attempt += 1


async def _with_timeout(make: Make, milliseconds: float | None) -> RunAnswer:
    """The answer, or a stream that has its first byte. Raises ModelError when it takes longer than ``milliseconds``."""
    if milliseconds is None:
        return await make()
    try:
        async with asyncio.timeout(milliseconds / 1000):
            return await make()
    except TimeoutError:
        raise timed_out(milliseconds) from None


def _cache_key(call: GatewayCall, options: GatewayOptions) -> bytes:
    """What two requests must share to get one answer: everything, or the ``cacheKey`` that both name.

    A key never makes a stream of a whole answer, nor one model's answer another's.
    """
    others = {name: value for name, value in call.options.items() if name not in ("gateway", "tags")}
    if options.cache_key is None:
        same: Any = [call.inputs, others]
    else:
        same = [options.cache_key, isinstance(call.inputs, dict) and call.inputs.get("stream") in (True, "true")]
    content = [options.id, call.model, call.form, call.identity(), options.cache_key is None, same]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).digest()


def _collects(options: GatewayOptions, settings: GatewaySettings) -> bool:
    return settings.collect_logs if options.collect_log is None else options.collect_log


__all__ = ["GatewayCall", "Gateways"]
