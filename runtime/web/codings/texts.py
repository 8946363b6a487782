"""Text as bytes, as JavaScript's strings become them."""

from __future__ import annotations


def utf8(text: str) -> bytes:
    """Half a surrogate pair becomes U+FFFD: a client that cuts a text short may have sent one, as JSON."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()


def well_formed(text: str) -> str:
    """The same, as text."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


__all__ = ["utf8", "well_formed"]
