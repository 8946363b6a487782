"""``crypto``: what is bytes in ``runtime.web.crypto`` is an ArrayBuffer here, and what is a dict an object."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar, cast

from runtime.values import JsException, from_wire
from runtime.values.buffers import JsBuffer
from runtime.web.globals.piping import WritableStream
from runtime.web.streams import to_bytes

T = TypeVar("T")
_DIGESTS = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", "MD5": "md5"}
_MAX_RANDOM_BYTES = 65536


class _Subtle:
    def __getattr__(self, name: str) -> Callable[..., Any]:
        from runtime.web.crypto.subtle import subtle  # imports much of ``cryptography``

        method = getattr(subtle, name)
        return method if name == "timingSafeEqual" else _converted(method)


@cache
def _converted(method: Callable[..., Any]) -> Callable[..., Any]:
    from runtime.web.crypto.keys import CryptoError, CryptoKey, CryptoKeyPair

    def shown(done: object) -> object:
        if isinstance(done, CryptoKeyPair):
            return CryptoKeyPair(shown(done.publicKey), shown(done.privateKey))  # type: ignore[arg-type]
        if isinstance(done, CryptoKey):
            return replace(done, algorithm=from_wire(done.algorithm))
        return JsBuffer(done) if isinstance(done, bytes) else from_wire(done)

    async def call(*args: object, **options: object) -> object:
        """Keywords are the members of an algorithm that is named by the first argument."""
        if options and args and isinstance(args[0], str):
            args = ({"name": args[0], **options}, *args[1:])
        try:
            done = await method(*args)
        except CryptoError as error:
            raise JsException(error.message, error.name) from None
        return shown(done)

    return call


class DigestStream(WritableStream):
    """What is written is hashed. ``await stream.digest``, an ArrayBuffer, once it is closed. Raises JsException, a
    NotSupportedError, for an algorithm that there is not."""

    def __init__(self, algorithm: str | Mapping[str, str]) -> None:
        name = algorithm if isinstance(algorithm, str) else algorithm["name"]
        if name.upper() not in _DIGESTS:
            raise JsException(f"Unrecognized or unimplemented digest algorithm requested: {name}", "NotSupportedError")
        self._hash = hashlib.new(_DIGESTS[name.upper()])
        self.digest: asyncio.Future[JsBuffer] = asyncio.get_running_loop().create_future()
        self.bytesWritten = 0
        super().__init__(write=self._update, close=self._finish, abort=self._give_up)

    @classmethod
    def new(cls, algorithm: str | Mapping[str, str]) -> DigestStream:
        return cls(algorithm)

    def _update(self, chunk: object) -> None:
        data = to_bytes(chunk)
        self._hash.update(data)
        self.bytesWritten += len(data)

    def _finish(self) -> None:
        self.digest.set_result(JsBuffer(self._hash.digest()))

    def _give_up(self, reason: object = None) -> None:
        self.digest.set_exception(reason if isinstance(reason, Exception) else JsException(str(reason)))
        self.digest.exception()  # seen, whether somebody waits for it or not


class crypto:
    subtle = _Subtle()
    DigestStream = DigestStream

    @staticmethod
    def randomUUID() -> str:
        return str(uuid.uuid4())

    @staticmethod
    def getRandomValues(buffer: T) -> T:
        """Fills a ``Uint8Array``, or anything else that can be written to; gives it back. Raises JsException."""
        view = memoryview(cast(Any, buffer)).cast("B")
        if len(view) > _MAX_RANDOM_BYTES:
            what = f"getRandomValues() only accepts buffers of size <= 64K but provided {len(view)} bytes."
            raise JsException(what, "QuotaExceededError")
        view[:] = os.urandom(len(view))
        return buffer


__all__ = ["crypto"]
