"""Content codings (RFC 9110, section 8.4.1): undone when a worker reads a body, kept when it passes."""

from __future__ import annotations

from runtime.web.codings.coders import decoder
from runtime.web.codings.header import accepts, canonical, is_known
from runtime.web.codings.texts import utf8
from runtime.web.codings.transcoder import decode, encode, encode_bytes

__all__ = ["accepts", "canonical", "decode", "decoder", "encode", "encode_bytes", "is_known", "utf8"]
