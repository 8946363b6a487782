"""CryptoKey, and what the files of the algorithms share."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes

HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA-1": hashes.SHA1, "SHA-256": hashes.SHA256, "SHA-384": hashes.SHA384, "SHA-512": hashes.SHA512,
}  # fmt: skip


class CryptoError(Exception):
    """A DOMException of the API: ``name`` is one of its, such as ``OperationError``."""

    def __init__(self, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{name}: {message}")


@dataclass(frozen=True)
class CryptoKey:
    """``type``: "secret", "public" or "private". ``key`` is bytes, or an object of ``cryptography``'s."""

    type: str
    extractable: bool
    algorithm: Mapping[str, Any]
    usages: tuple[str, ...]
    key: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class CryptoKeyPair:
    publicKey: CryptoKey
    privateKey: CryptoKey


def named(algorithm: object) -> dict[str, Any]:
    """An AlgorithmIdentifier as a dict, its name in the standard's case. Raises CryptoError, TypeError."""
    given = {"name": algorithm} if isinstance(algorithm, str) else algorithm
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise TypeError("an algorithm is a name, or an object with a name")
    return {**given, "name": NAMES.get(given["name"].lower(), given["name"])}


def hash_of(algorithm: Mapping[str, Any], default: Mapping[str, Any] | None = None) -> tuple[str, hashes.HashAlgorithm]:
    """(name, what ``cryptography`` calls it) of an algorithm's ``hash``."""
    wanted = algorithm.get("hash") or (default or {}).get("hash")
    name = wanted.get("name") if isinstance(wanted, Mapping) else wanted
    if name is None:
        raise TypeError('Missing field "hash" in "algorithm".')
    if not isinstance(name, str) or name.upper() not in HASHES:
        raise CryptoError("NotSupportedError", f"Unrecognized or unimplemented hash algorithm requested: {name!r:.40}.")
    return name.upper(), HASHES[name.upper()]()


def data_of(value: object, what: str = "data") -> bytes:
    if isinstance(value, str) or not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{what} must be bytes, an ArrayBuffer or a view of one, not {type(value).__name__}")
    return bytes(value)


def usages_of(given: Collection[str], allowed: Collection[str]) -> tuple[str, ...]:
    """In the order of ``allowed``. Raises CryptoError for one that the algorithm has not."""
    if wrong := [usage for usage in given if usage not in allowed]:
        raise CryptoError("SyntaxError", f"Attempt to use a key for {', '.join(map(str, wrong))}, which it cannot do.")
    return tuple(usage for usage in allowed if usage in given)


def pair_of(
    private: Any, allowed: Mapping[str, Collection[str]], usages: Collection[str], extractable: bool,
    make: Callable[[Any, bool, Sequence[str]], CryptoKey],
) -> CryptoKeyPair:  # fmt: skip
    """Of a private key; each half has of ``usages`` what it is ``allowed``, and the public one can be exported."""
    usages_of(usages, (*allowed["private"], *allowed["public"]))
    halves = {half: [usage for usage in usages if usage in allowed[half]] for half in ("public", "private")}
    public = make(private.public_key(), True, halves["public"])
    return CryptoKeyPair(public, make(private, extractable, halves["private"]))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(jwk: Mapping[str, Any], name: str) -> bytes:
    """A member of a JSON Web Key. Raises CryptoError."""
    try:
        text = jwk[name]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (KeyError, TypeError, ValueError):
        raise CryptoError("DataError", f"the JSON Web Key has no usable {name!r}") from None


def unbound(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(unb64(jwk, name), "big")


NAMES = {
    name.lower(): name
    for name in (
        "HMAC", "AES-GCM", "AES-CBC", "AES-CTR", "AES-KW", "RSASSA-PKCS1-v1_5", "RSA-PSS", "RSA-OAEP", "ECDSA", "ECDH",
        "Ed25519", "X25519", "HKDF", "PBKDF2", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "MD5",
    )
}  # fmt: skip
NAMES["node-ed25519"] = "Ed25519"

__all__ = [
    "HASHES", "NAMES", "CryptoError", "CryptoKey", "CryptoKeyPair", "b64", "data_of", "hash_of", "named", "pair_of",
    "unb64", "unbound", "usages_of",
]  # fmt: skip
