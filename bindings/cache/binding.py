"""``js.caches``, the host's half: what is kept, and what is answered with it."""

from __future__ import annotations

import email.utils
from collections.abc import Sequence
from typing import Any

from bindings.base import CallError, HostStream
from bindings.cache import policy
from bindings.cache.store import CacheStore, Entry
from bindings.sqlite import StoreError, disk_error
from bindings.storage import clock
from bindings.storage.blobs import BlobStream

MAX_TTL_S = 366 * 86400.0
Pairs = list[tuple[bytes, bytes]]


async def serve(store: CacheStore, limit: int, method: str, args: Sequence[Any]) -> object:
    """One call of the worker's half. ``limit``: bytes that the worker's caches may take."""
    try:
        if method == "match":
            cache, url, headers = args
            entry = await store.match(cache, url)
            return None if entry is None else _answer(entry, _pairs(headers))
        if method == "put":
            await _put(store, limit, *args)
            return None
        if method == "delete":
            cache, url = args
            return await store.delete(cache, url)
    except (StoreError, OSError) as error:
        raise CallError("Error", f"Cache {method} failed: {disk_error(error)}") from None
    raise CallError("TypeError", f"caches has no {method}()")


async def _put(
    store: CacheStore, limit: int, cache: str, url: str, status: int, headers: Sequence[Any], body: Any,
    seconds: float | None = None,
) -> None:  # fmt: skip
    """Nothing is kept of what says no time for which it may be; but ``seconds`` count before that."""
    pairs, now = _pairs(headers), clock.now()
    ttl = policy.lifetime(status, pairs, now) if seconds is None else min(float(seconds), MAX_TTL_S)
    if not ttl > 0:
        return
    kept = policy.kept(pairs)
    if not policy.value_of(kept, b"date"):
        kept.append((b"date", email.utils.formatdate(now, usegmt=True).encode()))
    await store.put(cache, url, status, kept, b"" if body is None else body, ttl, limit)


def _answer(entry: Entry, request: Pairs) -> object:
    """``[status, headers, bytes]``, or a stream whose ``meta`` has the first two."""
    age = b"%d" % max(0, int(clock.now() - entry.stored))
    told = (pair for pair in entry.headers if pair[0] not in (b"age", b"cf-cache-status"))
    headers = [*told, (b"age", age), (b"cf-cache-status", b"HIT")]
    if policy.is_unchanged(request, entry.headers):
        return _whole(entry, 304, headers)
    try:
        span = policy.span(request, entry.size) if entry.status == 200 else None
    except ValueError:
        return _whole(entry, 416, [*headers, (b"content-range", b"bytes */%d" % entry.size)])
    if span is None:
        return _part(entry, entry.status, headers, 0, entry.size)
    offset, length = span
    content_range = b"bytes %d-%d/%d" % (offset, offset + length - 1, entry.size)
    return _part(entry, 206, [*headers, (b"content-range", content_range)], offset, length)


def _whole(entry: Entry, status: int, headers: Pairs) -> object:
    if entry.file is not None:
        entry.file.close()
    return [status, headers, b""]


def _part(entry: Entry, status: int, headers: Pairs, offset: int, length: int) -> object:
    headers = [*headers, (b"content-length", b"%d" % length)]
    if entry.file is None:
        return [status, headers, entry.content[offset : offset + length]]
    return HostStream(BlobStream(entry.file, offset, length), {"head": [status, headers]})


def _pairs(headers: Sequence[Any]) -> Pairs:
    return [(bytes(name), bytes(value)) for name, value in headers]


__all__ = ["serve"]
