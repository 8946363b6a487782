"""``[[ratelimits]] name = "LIMIT", namespace_id = "1", simple = { limit = 10, period = 60 }``: how often, per key.

Fixed windows that begin at multiples of the period, counted in memory: a restart forgets them. Bindings of one
namespace count together. https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from bindings.storage import clock
from runtime.config import Config
from runtime.errors import RequestError
from runtime.values import js_string

MAX_KEYS = 100_000  # of a window; keys beyond are not limited, as the service too rather lets pass than refuses


class Simple(msgspec.Struct, frozen=True):
    limit: int
    period: Literal[10, 60]  # seconds


class RateLimitTable(msgspec.Struct, frozen=True):
    """One of ``[[ratelimits]]``."""

    name: str
    namespace_id: str
    simple: Simple


class Window:
    """What was counted in the period that runs."""

    def __init__(self) -> None:
        self._number, self._counts = 0, dict[str, int]()

    def admits(self, key: str, simple: Simple) -> bool:
        number = int(clock.now() // simple.period)
        if number != self._number:
            self._number, self._counts = number, {}
        count = self._counts.get(key, 0)
        if count >= simple.limit:
            return False
        if count or len(self._counts) < MAX_KEYS:
            self._counts[key] = count + 1
        return True


class RateLimitBinding:
    client = "bindings.rate_limiting.worker:RateLimit"
    client_args: Mapping[str, Any] = {}

    def __init__(self, table: RateLimitTable, windows: dict[tuple[str, int], Window]) -> None:
        self.name, self._simple = table.name, table.simple
        self._window = windows.setdefault((table.namespace_id, table.simple.period), Window())

    def describe(self) -> tuple[str, str]:
        return "rate limit", f"{self._simple.limit} per {self._simple.period} s"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        if method != "limit":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        return self._window.admits(_key(args[0] if args else None), self._simple)


class RateLimiting(Product):
    key, label, shape = "ratelimits", "Rate limiting", list[RateLimitTable]
    fronts = "calls"
    worker_type = "bindings.rate_limiting.env:RateLimit"
    types = ("ratelimit",)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        context.shared[cls.key] = {}

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            if table.simple.limit < 1:
                raise config.error(cls.key, "'simple.limit' must be 1 or more", number, remedy="Write:  limit = 100")

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [RateLimitBinding(table, context.shared[cls.key]) for table in _tables(config)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"type": "ratelimit", **msgspec.to_builtins(table)} for table in _tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        fields = ("name", "namespace_id", "simple")
        tables = [{field: item.get(field) for field in fields} for item in uploaded]
        try:
            msgspec.convert(tables, list[RateLimitTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a ratelimit binding: {error}") from None
        return tables


def _tables(config: Config) -> Sequence[RateLimitTable]:
    return config.tables(RateLimiting.key, RateLimitTable)


def _key(options: object) -> str:
    if not isinstance(options, dict):
        raise CallError("Error", "invalid rate limit options")
    if unknown := [name for name in options if name != "key"]:
        raise CallError("Error", f"bad rate limit options: [{','.join(unknown)}]")
    if not isinstance(key := options.get("key", ""), str):
        raise CallError("Error", f"invalid key: {js_string(key)}")
    return key


__all__ = ["RateLimiting"]
