"""Ids of objects: 32 bytes, of which the second half checks the first, and whose they are.

``namespace`` says which class of which worker; nobody else's ids are valid there.
"""

from __future__ import annotations

import hmac
import re
import secrets
from functools import lru_cache
from hashlib import sha256

_HALF = 16  # bytes
_HEX = re.compile(r"[0-9a-fA-F]{64}")
NOT_HEX = "Invalid Durable Object ID: must be 64 hex digits"
NOT_OURS = "Durable Object ID is not valid for this namespace."


class DurableObjectId:
    """``name`` is None unless it was made of one."""

    __slots__ = ("_hex", "name")

    def __init__(self, hex: str, name: str | None = None) -> None:
        self._hex, self.name = hex, name

    def toString(self) -> str:
        return self._hex

    def equals(self, other: object) -> bool:
        return isinstance(other, DurableObjectId) and other._hex == self._hex

    def __str__(self) -> str:
        return self._hex

    def __eq__(self, other: object) -> bool:
        return self.equals(other) if isinstance(other, DurableObjectId) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._hex)

    def __repr__(self) -> str:
        return f"<DurableObjectId {self._hex}>"


def from_name(namespace: str, name: str) -> DurableObjectId:
    """The same for the same name."""
    return DurableObjectId(_named(namespace, name), name)


def unique(namespace: str) -> DurableObjectId:
    return DurableObjectId(_checked(namespace, secrets.token_bytes(_HALF)))


def from_hex(namespace: str, text: str) -> DurableObjectId:
    """Raises ValueError with what is wrong."""
    if not _HEX.fullmatch(text):
        raise ValueError(NOT_HEX)
    if _checked(namespace, bytes.fromhex(text)[:_HALF]) != text.lower():
        raise ValueError(NOT_OURS)
    return DurableObjectId(text.lower())


def _checked(namespace: str, half: bytes) -> str:
    return (half + _mac(namespace, half)).hex()


def _mac(namespace: str, data: bytes) -> bytes:
    return hmac.digest(_key(namespace), data, "sha256")[:_HALF]


@lru_cache(256)
def _named(namespace: str, name: str) -> str:
    return _checked(namespace, _mac(namespace, name.encode("utf-8", "surrogatepass")))


@lru_cache(64)
def _key(namespace: str) -> bytes:
    return sha256(namespace.encode("utf-8", "surrogatepass")).digest()


__all__ = ["DurableObjectId", "from_hex", "from_name", "unique"]
