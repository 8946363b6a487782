"""The tokens of an upload: which worker's, which list of files, until when; signed by the host. JWT (RFC 7519), HS256.

Wrangler reads ``exp`` out of them and sends them back as they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from pathlib import Path

import msgspec

from runtime.errors import RequestError

LIFETIME_S = 3600  # seconds


class Claims(msgspec.Struct, frozen=True):
    """``session``: the list's digest in an upload that is under way; ``site``: in one that is complete."""

    worker: str
    exp: int  # seconds since 1970
    session: str = ""
    site: str = ""


class Tokens:
    """``file`` has the key, and is made with one."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def sign(self, worker: str, *, session: str = "", site: str = "") -> str:
        claims = Claims(worker, int(time.time()) + LIFETIME_S, session, site)
        text = f"{_HEAD}.{_packed(msgspec.json.encode(claims))}"
        return f"{text}.{_packed(self._signature(text))}"

    def open(self, token: str) -> Claims:
        """Raises RequestError."""
        text, _, signature = token.rpartition(".")
        try:
            genuine = hmac.compare_digest(_unpacked(signature), self._signature(text))
            claims = msgspec.json.decode(_unpacked(text.rpartition(".")[2]), type=Claims) if genuine else None
        except ValueError:
            claims = None
        if claims is None:
            raise RequestError(403, "the token of the upload of assets is not one of this host's")
        if claims.exp < time.time():
            raise RequestError(403, "the upload of assets took too long; what has come is kept: begin again")
        return claims

    def site(self, worker: str, token: object) -> str:
        """The site's digest, of the token that a complete upload was given. Raises RequestError."""
        claims = self.open(token if isinstance(token, str) else "")
        if claims.worker != worker or not claims.site:
            raise RequestError(400, "the upload of assets is not complete, or is another worker's")
        return claims.site

    def _signature(self, text: str) -> bytes:
        return hmac.digest(self._key(), text.encode("utf-8", "replace"), hashlib.sha256)

    def _key(self) -> bytes:
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(key := os.urandom(32))
        return key


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEAD = _packed(b'{"alg":"HS256","typ":"JWT"}')

__all__ = ["Claims", "Tokens"]
