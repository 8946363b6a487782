"""Digests of what is put: the MD5 that is the etag, and the one that whoever puts it has named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bindings.r2 import errors
from bindings.r2.errors import R2Error

ALGORITHMS = {"md5": ("MD5", 16), "sha1": ("SHA-1", 20), "sha256": ("SHA-256", 32), "sha384": ("SHA-384", 48),
              "sha512": ("SHA-512", 64)}  # fmt: skip
"""As options are called: its name in messages, its bytes."""


class Digest:
    """Of content that comes piece by piece; ``update`` may run in a thread."""

    def __init__(self, named: tuple[str, str] | None = None) -> None:
        """``named``: an algorithm and what the digest must be, in hex."""
        self._named = named
        names = {"md5", *([named[0]] if named else [])}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}

    def update(self, content: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(content)

    def check(self) -> dict[str, str]:
        """Hex, by algorithm. Raises R2Error where it is not what was named."""
        found = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        if self._named is not None and found[self._named[0]] != self._named[1]:
            label = ALGORITHMS[self._named[0]][0]
            raise R2Error(
                10037,
                f"The {label} checksum you specified did not match what we received.\n"
                f"You provided a {label} checksum with value: {self._named[1]}\n"
                f"Actual {label} was: {found[self._named[0]]}",
            )
        return found


def parse_named(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """The one digest that is named among ``options``, in hex. Raises CallError."""
    given = [(name, options[name]) for name in ALGORITHMS if options.get(name) is not None]
    if len(given) > 1:
        raise errors.type_error("You cannot specify multiple hashing algorithms.")
    if not given:
        return None
    [(name, value)] = given
    label, size = ALGORITHMS[name]
    if isinstance(value, bytes):
        if len(value) != size:
            raise errors.type_error(f"{label} is {size} bytes, not {len(value)}")
        return name, value.hex()
    if not isinstance(value, str):
        raise errors.wrong_field(name, "PutOptions", "BufferSource or string")
    text = value
    if len(text) != 2 * size:
        raise errors.type_error(f"{label} is {2 * size} hex characters, not {len(text)}")
    try:
        return name, bytes.fromhex(text).hex()
    except ValueError:
        raise errors.type_error(f"Provided {label} wasn't a valid hex string") from None


__all__ = ["ALGORITHMS", "Digest", "parse_named"]
