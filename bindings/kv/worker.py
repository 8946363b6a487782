"""``env.NAME`` of a KV namespace, as the worker sees it. Facts: docs/reference/bindings.md#kv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bindings.client import BindingClient, options_of
from bindings.kv.checks import MAX_VALUE_BYTES
from runtime.values import JsDict, JsException, JsMap, from_json, js_string
from runtime.web import ReadableStream

Kind = Literal["text", "json", "arrayBuffer", "stream"]
_KINDS = ("text", "json", "arrayBuffer", "stream")


class KVNamespace(BindingClient):
    """https://developers.cloudflare.com/kv/api/"""

    product = "KVNamespace"

    async def get(self, *args: object, **options: object) -> Any:
        """``get(key, type="text", cacheTtl=None)``: the value, None where there is none; of a list of keys, by key."""
        keys, kind, rest = _reading(args, options)
        if isinstance(keys, list):
            return JsMap({key: row and row[0] for key, row in (await self._bulk(keys, kind, rest)).items()})
        return _decoded(await self._call("get", (keys, _known(kind), rest)), kind)

    async def getWithMetadata(self, *args: object, **options: object) -> JsDict | JsMap:
        """As ``get``; each value in an object, with its ``metadata``."""
        keys, kind, rest = _reading(args, options)
        if isinstance(keys, list):
            rows = (await self._bulk(keys, kind, rest)).items()
            return JsMap({key: row and JsDict(value=row[0], metadata=_metadata(row[1])) for key, row in rows})
        answer = await self._call("getWithMetadata", (keys, _known(kind), rest))
        if isinstance(answer, list):
            value, metadata = answer
        else:
            value, metadata = answer, answer and answer.meta["metadata"]
        return JsDict(value=_decoded(value, kind), metadata=_metadata(metadata), cacheStatus=None)

    async def put(self, *args: object, **options: object) -> None:
        """``put(key, value, expiration=None, expirationTtl=None, metadata=None)``, once it is on disk. ``value``: text,
        bytes, a stream; a number, a boolean and None as text."""
        if len(args) < 2:
            raise TypeError("KV put() needs a key and a value")
        key, value, *rest = args
        given = options_of(rest, options, "'put' on 'KvNamespace': parameter 3", "PutOptions")
        await self._call("put", (key, _value(value)), given)

    async def delete(self, key: object, *rest: object, **options: object) -> None:
        """Whether it is there or not. One key: a list is the key of its members with commas between, as upstream."""
        await self._call("delete", (key, *rest), options)

    async def list(self, *args: object, **options: object) -> JsDict:
        """``list(prefix=None, limit=1000, cursor=None)``: ``{keys, list_complete, cursor}`` in the keys' byte order."""
        given = options_of(args, options, "'list' on 'KvNamespace': parameter 1", "ListOptions")
        answer = await self._call("list", (), given)
        more = {} if answer["cursor"] is None else {"cursor": answer["cursor"]}
        keys = [_key(*row) for row in answer["keys"]]
        return JsDict({"keys": keys, "list_complete": not more, **more, "cacheStatus": None})

    async def _bulk(self, keys: Sequence[object], kind: str, options: Mapping[str, object]) -> dict[str, Any]:
        """By key: ``(value, metadata as JSON)``, or None."""
        answer = await self._call("getBulk", (keys, kind, options))
        try:
            return {key: row and (_decoded(row[0], kind), row[1]) for key, row in answer.items()}
        except JsException:
            what = "At least one of the requested keys corresponds to a non-json value"
            raise JsException(f"KV GET_BULK failed: 400 {what}") from None


def _reading(args: Sequence[object], options: Mapping[str, object]) -> tuple[object, str, dict[str, object]]:
    """(key or keys, type, the other options). As upstream, what stands second counts, be it a type or options."""
    if not args and not options:
        text = "Failed to execute 'get' on 'KvNamespace': parameter 1 is not of type 'string or Array'."
        raise JsException(text, "TypeError")
    key, *rest = args if args else (dict(options),)
    how = rest[0] if rest else dict(options)
    if how is None or isinstance(how, dict):
        rest_of = dict(how or {})
        kind = rest_of.pop("type", None)
    else:
        kind, rest_of = how, {}
    return key, "text" if kind is None else js_string(kind), rest_of


def _known(kind: str) -> str:
    if kind not in _KINDS:
        what = 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".'
        raise JsException(what, "TypeError")
    return kind


def _decoded(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "text":
        return value.decode("utf-8", "replace")
    if kind == "json":
        return from_json(value)
    return ReadableStream(value) if kind == "stream" else memoryview(value)


def _metadata(text: str | None) -> Any:
    return None if text is None else from_json(text.encode())


def _key(name: str, expiration: int | None, metadata: str | None) -> JsDict:
    key = JsDict(name=name)
    if expiration is not None:
        key["expiration"] = expiration
    if metadata is not None:
        key["metadata"] = _metadata(metadata)
    return key


def _value(value: object) -> object:
    """Any async iterator is a stream. Raises JsException for what is too large to be sent at all."""
    if hasattr(value, "__aiter__") and not isinstance(value, ReadableStream):
        return ReadableStream(value)
    size = len(value) if isinstance(value, str | bytes) else value.nbytes if isinstance(value, memoryview) else 0
    if size > MAX_VALUE_BYTES:
        size = len(value.encode()) if isinstance(value, str) else size
        raise JsException(f"KV PUT failed: 413 Value length of {size} exceeds limit of {MAX_VALUE_BYTES}.")
    return value


__all__ = ["KVNamespace"]
