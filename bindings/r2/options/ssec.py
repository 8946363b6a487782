"""``ssecKey``: a key that whoever reads an object must have. Its MD5 is kept; the content is not encrypted with it."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from bindings.base import CallError
from bindings.r2.errors import R2Error
from bindings.r2.model import StoredObject

KEY_BYTES = 32


class KeyMd5(NamedTuple):
    """Of the key that came with a call, in hex; None: there came none."""

    md5: str | None

    def check(self, stored: StoredObject) -> None:
        """Raises R2Error unless it is the key that the object was put with."""
        if not hmac.compare_digest(self.md5 or "", stored.metadata.ssec_key_md5 or ""):
            raise R2Error(10047, "The SSE-C key of the call is not the object's.")


def key_md5(given: object) -> KeyMd5:
    """``given``: 32 bytes, or 64 hex characters. Raises CallError."""
    if given is None:
        return KeyMd5(None)
    try:
        key = bytes.fromhex(given) if isinstance(given, str) else given
    except ValueError:
        raise CallError("Error", "SSE-C Key has invalid format") from None
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise CallError("Error", f"SSE-C Key must be {KEY_BYTES} bytes in length")
    return KeyMd5(hashlib.md5(key, usedforsecurity=False).hexdigest())


__all__ = ["KeyMd5", "key_md5"]
