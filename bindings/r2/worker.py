"""``env.NAME`` of an R2 bucket, as the worker sees it. Facts: docs/reference/bindings.md#r2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindings.client import BindingClient, HostCaller, options_of
from bindings.r2.objects import R2Object, R2ObjectBody
from runtime.values import JsArray, JsDict, js_string
from runtime.web import Blob, Headers, ReadableStream

_HEADERS = ("range", "onlyIf", "httpMetadata")  # options that may be Headers


class R2Bucket(BindingClient):
    """https://developers.cloudflare.com/r2/api/workers/workers-api-reference/"""

    product = "R2Bucket"

    async def head(self, key: object, *_: object, **__: object) -> R2Object | None:
        answer = await self._call("head", (key,))
        return answer and R2Object(answer)

    async def get(self, key: object, *args: object, **options: object) -> R2Object | R2ObjectBody | None:
        """``get(key, range=None, onlyIf=None, ssecKey=None)``. Without a body where ``onlyIf`` does not hold; None
        where there is none."""
        given = _given(args, options, "'get' on 'R2Bucket': parameter 2", "GetOptions")
        answer = await self._call("get", (key, given))
        if answer is None:
            return None
        if not isinstance(answer, list):
            return R2ObjectBody(answer.meta["object"], answer)
        head, content = answer
        return R2Object(head) if content is None else R2ObjectBody(head, content)

    async def put(self, *args: object, **options: object) -> R2Object | None:
        """``put(key, value, onlyIf=None, httpMetadata=None, customMetadata=None, md5=None ...)``, once it is on disk;
        None where ``onlyIf`` does not hold."""
        if len(args) < 2:
            raise TypeError("R2 put() needs a key and a value")
        given = _given(args[2:], options, "'put' on 'R2Bucket': parameter 3", "PutOptions")
        answer = await self._call("put", (args[0], await _value(args[1]), given))
        return answer and R2Object(answer)

    async def delete(self, keys: object, *_: object, **__: object) -> None:
        """One key or a list of them, whether they are there or not."""
        await self._call("delete", (keys,))

    async def list(self, *args: object, **options: object) -> JsDict:
        """``list(prefix=None, delimiter=None, cursor=None, limit=1000, startAfter=None, include=None)``."""
        answer = await self._call("list", (_given(args, options, "'list' on 'R2Bucket': parameter 1", "ListOptions"),))
        answer["objects"] = JsArray([R2Object(head) for head in answer["objects"]])
        answer["delimitedPrefixes"] = JsArray(answer["delimitedPrefixes"])
        return JsDict(truncated=answer["cursor"] is not None, **answer)

    async def createMultipartUpload(self, key: object, *args: object, **options: object) -> R2MultipartUpload:
        given = _given(args, options, "'createMultipartUpload' on 'R2Bucket': parameter 2", "MultipartOptions")
        upload = await self._call("createMultipartUpload", (key, given))
        return R2MultipartUpload(self._name, self._caller, js_string(key), upload)

    def resumeMultipartUpload(self, key: object, uploadId: object) -> R2MultipartUpload:
        """At once and unchecked, as upstream."""
        return R2MultipartUpload(self._name, self._caller, js_string(key), js_string(uploadId))


class R2MultipartUpload(BindingClient):
    product = "R2MultipartUpload"

    def __init__(self, name: str, caller: HostCaller, key: str, upload: str) -> None:
        super().__init__(name, caller)
        self.key, self.uploadId = key, upload

    async def uploadPart(self, partNumber: int, value: object, *_: object, **__: object) -> JsDict:
        """``{partNumber, etag}``, for ``complete``; a part of that number is replaced."""
        number, etag = await self._call("uploadPart", (self.key, self.uploadId, partNumber, await _value(value)))
        return JsDict(partNumber=number, etag=etag)

    async def complete(self, parts: object) -> R2Object:
        return R2Object(await self._call("completeMultipartUpload", (self.key, self.uploadId, parts)))

    async def abort(self) -> None:
        await self._call("abortMultipartUpload", (self.key, self.uploadId))


def _given(args: tuple[object, ...], options: Mapping[str, object], place: str, kind: str) -> dict[str, object]:
    """The options, be they the last argument or keywords; Headers among them as a list of pairs."""
    given = options_of(args, options, place, kind)
    return {name: _pairs(value) if name in _HEADERS else value for name, value in given.items()}


def _pairs(value: Any) -> object:
    return [list(pair) for pair in value.items()] if isinstance(value, Headers) else value


async def _value(value: object) -> object:
    """What can be sent: any async iterator is a stream."""
    if isinstance(value, Blob):
        return await value.bytes()
    if hasattr(value, "__aiter__") and not isinstance(value, ReadableStream):
        return ReadableStream(value)
    return value


__all__ = ["R2Bucket", "R2MultipartUpload"]
