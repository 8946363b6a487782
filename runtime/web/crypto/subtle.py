"""``crypto.subtle``: which file does what with which algorithm, and what a key may be used for.

What takes long runs in a thread. Web Cryptography API, section 14; what Workers has of it:
https://developers.cloudflare.com/workers/runtime-apis/web-crypto/
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

from runtime.web.crypto import curves, rsa, secret
from runtime.web.crypto.keys import CryptoError, CryptoKey, CryptoKeyPair, data_of, hash_of, named

T = TypeVar("T")
_MODULES: dict[str, ModuleType] = {
    **dict.fromkeys(secret.USAGES, secret), **dict.fromkeys(rsa.USAGES, rsa), **dict.fromkeys(curves.USAGES, curves),
}  # fmt: skip
_DIGESTS = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", "MD5": "md5"}
_IN_THREAD_BYTES = 64 * 1024


class SubtleCrypto:
    """Every method gives what the standard's does; an ArrayBuffer is ``bytes``. Raises CryptoError, TypeError."""

    async def digest(self, algorithm: object, data: object) -> bytes:
        name = named(algorithm)["name"]
        if name not in _DIGESTS:
            raise _unknown(name, "digest")
        content = data_of(data)
        return await _done(lambda: hashlib.new(_DIGESTS[name], content).digest(), content)

    async def generateKey(
        self, algorithm: object, extractable: bool, usages: Sequence[str]
    ) -> CryptoKey | CryptoKeyPair:
        wanted = named(algorithm)
        made = await asyncio.to_thread(_module(wanted, "generateKey").generate, wanted, bool(extractable), list(usages))
        private = made.privateKey if isinstance(made, CryptoKeyPair) else made
        if not private.usages:
            raise CryptoError("SyntaxError", "Usages cannot be empty when creating a key.")
        return made  # type: ignore[no-any-return]

    async def importKey(
        self, format: str, data: object, algorithm: object, extractable: bool, usages: Sequence[str]
    ) -> CryptoKey:
        wanted = named(algorithm)
        key: CryptoKey = _module(wanted, "importKey").load(format, data, wanted, bool(extractable), list(usages))
        if not key.usages and key.type != "public":
            raise CryptoError("SyntaxError", f"Secret and private {wanted['name']} keys need a usage.")
        return key

    async def exportKey(self, format: str, key: CryptoKey) -> bytes | dict[str, Any]:
        if not key.extractable:
            raise CryptoError("InvalidAccessError", "Attempt to export non-extractable key.")
        exported: bytes | dict[str, Any] = _module(key.algorithm, "exportKey").dump(format, key)
        return exported

    async def sign(self, algorithm: object, key: CryptoKey, data: object) -> bytes:
        wanted, content = _allowed(algorithm, key, "sign"), data_of(data)
        return await _done(lambda: bytes(_module(wanted, "sign").sign(wanted, key, content)), content, key)

    async def verify(self, algorithm: object, key: CryptoKey, signature: object, data: object) -> bool:
        wanted, content, given = _allowed(algorithm, key, "verify"), data_of(data), data_of(signature, "signature")
        return bool(await _done(lambda: _module(wanted, "verify").verify(wanted, key, given, content), content))

    async def encrypt(self, algorithm: object, key: CryptoKey, data: object) -> bytes:
        wanted, content = _allowed(algorithm, key, "encrypt"), data_of(data)
        return await _done(lambda: bytes(_module(wanted, "encrypt").encrypt(wanted, key, content)), content)

    async def decrypt(self, algorithm: object, key: CryptoKey, data: object) -> bytes:
        wanted, content = _allowed(algorithm, key, "decrypt"), data_of(data)
        return await _done(lambda: bytes(_module(wanted, "decrypt").decrypt(wanted, key, content)), content, key)

    async def deriveBits(self, algorithm: object, key: CryptoKey, length: int | None = None) -> bytes:
        return await self._derive(_allowed(algorithm, key, "deriveBits"), key, length)

    async def deriveKey(
        self, algorithm: object, key: CryptoKey, derived: object, extractable: bool, usages: Sequence[str]
    ) -> CryptoKey:
        wanted, made = _allowed(algorithm, key, "deriveKey"), named(derived)
        bits = await self._derive(wanted, key, _length(made))
        return await self.importKey("raw", bits, made, extractable, usages)

    async def wrapKey(self, format: str, key: CryptoKey, wrapping: CryptoKey, algorithm: object) -> bytes:
        content = await self.exportKey(format, key)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        wanted = _allowed(algorithm, wrapping, "wrapKey")
        if wanted["name"] == "AES-KW":
            return secret.wrap(wrapping, data)
        return bytes(_module(wanted, "wrapKey").encrypt(wanted, wrapping, data))

    async def unwrapKey(
        self, format: str, wrapped: object, wrapping: CryptoKey, algorithm: object, unwrapped: object,
        extractable: bool, usages: Sequence[str],
    ) -> CryptoKey:  # fmt: skip
        wanted, data = _allowed(algorithm, wrapping, "unwrapKey"), data_of(wrapped, "wrappedKey")
        if wanted["name"] == "AES-KW":
            content = secret.unwrap(wrapping, data)
        else:
            content = _module(wanted, "unwrapKey").decrypt(wanted, wrapping, data)
        return await self.importKey(
            format, json.loads(content) if format == "jwk" else content, unwrapped, extractable, usages
        )

    def timingSafeEqual(self, one: object, other: object) -> bool:
        """Raises TypeError for two of different lengths, as Workers does."""
        a, b = data_of(one), data_of(other)
        if len(a) != len(b):
            raise TypeError("Input buffers must have the same byte length.")
        return hmac.compare_digest(a, b)

    async def _derive(self, algorithm: dict[str, Any], key: CryptoKey, bits: int | None) -> bytes:
        module, name = _module(algorithm, "deriveBits"), algorithm["name"]
        if module is secret and bits is None:
            raise CryptoError("OperationError", f"{name} cannot derive a key with null length.")
        if module is secret and bits is not None and bits % 8:
            what = f"{name} requires a derived key length that is a multiple of eight (requested {bits})."
            raise CryptoError("OperationError", what)
        derived: bytes = await asyncio.to_thread(module.derive, algorithm, key, bits)
        return derived


def _module(algorithm: Mapping[str, Any], operation: str) -> ModuleType:
    name, attribute = algorithm["name"], _FUNCTIONS[operation]
    module = _MODULES.get(name)
    if module is None or not hasattr(module, attribute):
        raise _unknown(name, operation)
    return module


_FUNCTIONS = {
    "generateKey": "generate", "importKey": "load", "exportKey": "dump", "sign": "sign", "verify": "verify",
    "encrypt": "encrypt", "decrypt": "decrypt", "deriveBits": "derive", "wrapKey": "encrypt", "unwrapKey": "decrypt",
}  # fmt: skip


def _allowed(algorithm: object, key: CryptoKey, usage: str) -> dict[str, Any]:
    """The algorithm, once it is the key's and the key may be used so. Raises CryptoError."""
    if not isinstance(key, CryptoKey):
        raise TypeError(f"{usage} wants a CryptoKey, not {type(key).__name__}")
    wanted = named(algorithm)
    if wanted["name"] != key.algorithm["name"]:
        raise CryptoError("InvalidAccessError", f'Requested algorithm "{wanted["name"]}" does not match this CryptoKey '
                          f'("{key.algorithm["name"]}").')  # fmt: skip
    if usage not in key.usages:
        raise CryptoError(
            "InvalidAccessError", f'Requested key usage "{usage}" does not match any usage listed in this CryptoKey.'
        )
    return wanted


def _length(algorithm: Mapping[str, Any]) -> int:
    """Bits of the key that is to be derived."""
    if algorithm.get("length"):
        return int(algorithm["length"])
    if algorithm["name"] == "HMAC":
        return 512 if hash_of(algorithm)[0] in ("SHA-1", "SHA-256") else 1024
    if algorithm["name"] in ("HKDF", "PBKDF2"):
        return 256
    raise TypeError(f"a derived {algorithm['name']} key needs a length")


async def _done(work: Callable[[], T], content: bytes, key: CryptoKey | None = None) -> T:
    """In a thread where it takes longer than a thread's start: much data, or RSA with a private key."""
    slow = len(content) > _IN_THREAD_BYTES or (key is not None and key.algorithm["name"].startswith("RSA"))
    return await asyncio.to_thread(work) if slow else work()


def _unknown(name: str, operation: str) -> CryptoError:
    return CryptoError(
        "NotSupportedError", f'Unrecognized or unimplemented algorithm "{name:.40}" requested for {operation}.'
    )


subtle = SubtleCrypto()

__all__ = ["SubtleCrypto", "subtle"]
