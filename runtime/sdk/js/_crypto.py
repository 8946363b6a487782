"""``crypto``: what is bytes in ``runtime.web.crypto`` is an ArrayBuffer here, and a JSON Web Key an object."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from runtime.values import JsDict, JsException
from runtime.values.buffers import JsBuffer

T = TypeVar("T")
_MAX_RANDOM_BYTES = 65536


class _Subtle:
    def __getattr__(self, name: str) -> Callable[..., Any]:
        from runtime.web.crypto.subtle import subtle  # imports much of ``cryptography``

        method = getattr(subtle, name)
        return method if name == "timingSafeEqual" else _converted(method)


@cache
def _converted(method: Callable[..., Any]) -> Callable[..., Any]:
    from runtime.web.crypto.keys import CryptoError

    async def call(*args: object, **options: object) -> object:
        """Keywords are the members of an algorithm that is named by the first argument."""
        if options and args and isinstance(args[0], str):
            args = ({"name": args[0], **options}, *args[1:])
        try:
            done = await method(*args)
        except CryptoError as error:
            raise JsException(error.message, error.name) from None
        if isinstance(done, bytes):
            return JsBuffer(done)
        return JsDict(done) if isinstance(done, dict) else done

    return call


class crypto:
    subtle = _Subtle()

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
