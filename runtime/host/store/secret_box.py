"""Secrets at rest: AES-256-GCM under a key file that only its owner may read.

A sealed text is bound to its worker and its name: a row copied to another worker does not open.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from runtime.errors import UserError

_NONCE_BYTES, _KEY_BYTES = 12, 32


class SecretBox:
    """Closes and opens secrets. Raises UserError when the key file is missing, too open or not a key."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 30 ms, which dev has no use for

        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, file: Path) -> SecretBox:
        """With the key in ``file``, which is made if there is none."""
        try:
            return cls(_new_key(file))
        except FileExistsError:
            pass
        if file.stat().st_mode & 0o077:
            raise UserError("others may read it", where=str(file), remedy=f"chmod 600 {file}")
        key = file.read_bytes()
        if len(key) != _KEY_BYTES:
            raise UserError(f"is not a key of {_KEY_BYTES} bytes", where=str(file), remedy="Restore it from a backup.")
        return cls(key)

    def close(self, worker: str, name: str, text: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode("utf-8", "surrogatepass"), _bound(worker, name))
        return base64.b64encode(nonce + sealed).decode()

    def open(self, worker: str, name: str, sealed: str) -> str:
        """Raises UserError when the key is another one than it was closed with."""
        from cryptography.exceptions import InvalidTag

        raw = base64.b64decode(sealed)
        try:
            text = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(worker, name))
        except InvalidTag:
            remedy = "Restore the host's key file, or set the secret again."
            raise UserError(f"the secret {name!r} was sealed with another key", where=worker, remedy=remedy) from None
        return text.decode("utf-8", "surrogatepass")


def _new_key(file: Path) -> bytes:
    """Raises FileExistsError when there is one."""
    key = os.urandom(_KEY_BYTES)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(key)
        out.flush()
        os.fsync(out.fileno())
    return key


def _bound(worker: str, name: str) -> bytes:
    return f"{worker}\0{name}".encode()


__all__ = ["SecretBox"]
