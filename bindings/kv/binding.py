"""``env.NAME`` of a KV namespace, the host's half: checks what the worker asks, and asks the store.

The worker's half, ``bindings.kv.worker``, makes Python of the bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bindings.base import CallError, HostStream, WorkerStream
from bindings.kv import checks
from bindings.kv.checks import Refused, WrongName
from bindings.kv.store import Found, KVStore
from bindings.sqlite import StoreError, disk_error
from bindings.storage.blobs import BlobStream
from bindings.storage.resources import Resources
from runtime.values import JsBigInt, js_string, opened

_NO_VALUE = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values."


class KVBinding:
    """One ``[[kv_namespaces]]``."""

    client = "bindings.kv.worker:KVNamespace"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, id: str, resources: Resources[KVStore]) -> None:
        self.name, self._id, self._resources = name, id, resources
        self.explored = {"id": id}
        self._methods: dict[str, tuple[str, Callable[..., Awaitable[object]]]] = {  # with the verb of its errors
            "get": ("GET", self._get),
            "getWithMetadata": ("GET", self._get_with_metadata),
            "getBulk": ("GET_BULK", self._get_bulk),
            "put": ("PUT", self._put),
            "delete": ("DELETE", self._delete),
            "list": ("GET", self._list),
        }

    def describe(self) -> tuple[str, str]:
        return "KV namespace", self._id

    @property
    def _store(self) -> KVStore:
        """Asked for each time: someone may have removed it meanwhile."""
        return self._resources.get(self._id)

    async def call(self, method: str, args: Sequence[Any]) -> object:
        if method not in self._methods:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        verb, serve = self._methods[method]
        try:
            return await serve(*args)
        except Refused as error:
            raise CallError("Error", f"KV {verb} failed: {error.status} {error}") from None
        except WrongName as error:
            raise CallError("TypeError", str(error)) from None
        except (StoreError, OSError) as error:
            raise CallError("Error", f"KV {verb} failed: 500 {disk_error(error)}") from None

    async def _get(self, key: object, kind: object = "text", options: object = None) -> object:
        """Bytes, or a stream of them; None where there is none."""
        found = await self._find(key, options)
        return None if found is None else await _value(found, kind)

    async def _get_with_metadata(self, key: object, kind: object = "text", options: object = None) -> object:
        """``[value, metadata as JSON]``, or a stream whose ``meta`` has it."""
        found = await self._find(key, options)
        if found is None:
            return None
        value = await _value(found, kind)
        return value if isinstance(value, HostStream) else [value, found.metadata]

    async def _get_bulk(self, keys: Sequence[Any], kind: str, options: object = None) -> object:
        """By key: ``[value, metadata as JSON]``, or None."""
        if kind not in ("text", "json"):
            raise Refused(400, f'"{kind}" is not a valid type. Use "json" or "text"')
        if not keys:
            raise Refused(400, "You must request a minimum of 1 key")
        if len(keys) > checks.MAX_BULK:
            raise Refused(400, f"You can request a maximum of {checks.MAX_BULK} keys")
        checks.check_cache_ttl(_options(options))
        answer: dict[str, tuple[bytes, str | None] | None] = dict.fromkeys(map(checks.bulk_key_name, keys))
        size = 0
        for name in answer:
            checks.check_length(name)
            if (found := await self._store.get(name)) is None:
                continue
            value = await found.whole()
            answer[name] = value, found.metadata
            size += len(value)
            if size > checks.MAX_BULK_MB << 20:
                raise Refused(413, f"Total size of request exceeds the limit of {checks.MAX_BULK_MB}MB")
        return answer

    async def _put(self, key: object, value: object, options: object = None) -> None:
        name, given = checks.key_name(key), _options(options)
        content = _content(value)
        checks.check_length(name)
        expiration = checks.expiration(given.get("expirationTtl", ...), given.get("expiration", ...))
        await self._store.put(name, content, expiration, checks.metadata_text(given.get("metadata")))

    async def _delete(self, key: object, options: object = None) -> None:
        name = checks.key_name(key)
        checks.check_length(name)
        await self._store.delete([name])

    async def _list(self, options: object = None) -> object:
        """``{"keys": [[name, expiration, metadata as JSON]], "cursor"}``."""
        given = _options(options)
        prefix, cursor = (js_string(given[name]) if given.get(name) else "" for name in ("prefix", "cursor"))
        checks.check_length(prefix)
        page = await self._store.list(prefix, checks.page_size(given.get("limit")), cursor)
        return {"keys": page.keys, "cursor": page.cursor}

    async def _find(self, key: object, options: object) -> Found | None:
        name = checks.key_name(key)
        checks.check_length(name)
        checks.check_cache_ttl(_options(options))
        return await self._store.get(name)


async def _value(found: Found, kind: object) -> bytes | HostStream:
    if found.file is None or kind != "stream":
        return await found.whole()
    return HostStream(BlobStream(found.file), {"metadata": found.metadata})


def _options(options: object) -> Mapping[str, Any]:
    return options if isinstance(options, dict) else {}


def _content(value: object) -> bytes | WorkerStream:
    """What is to be kept. Raises CallError."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | WorkerStream):
        return value
    if value is None or isinstance(value, int | float) or isinstance(opened(value), JsBigInt):
        return js_string(value).encode()
    raise CallError("TypeError", _NO_VALUE)


__all__ = ["KVBinding"]
