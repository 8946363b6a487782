"""What type checkers are told of ``env.NAME`` of ``[[ratelimits]]``: ``worker.py`` does it."""

from typing import TypedDict, overload

from runtime.values import JsDict

class RateLimitOptions(TypedDict):
    key: str

class RateLimit:
    @overload
    async def limit(self, options: RateLimitOptions) -> JsDict: ...
    @overload
    async def limit(self, *, key: str) -> JsDict: ...
