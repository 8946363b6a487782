"""What KV refuses, and in which words.

Facts: docs/reference/bindings.md#kv. https://developers.cloudflare.com/kv/platform/limits/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bindings.storage import clock
from runtime.values import js_string, stringify

MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_METADATA_BYTES = 512, 25 * 1024 * 1024, 1024
MIN_TTL_S, MIN_CACHE_TTL_S = 60, 30
MAX_PAGE, MAX_BULK = 1000, 100  # keys of one list; of one bulk get
MAX_BULK_MB = 25
_FAR = 2**53  # seconds: later than any expiry that means something


class Refused(Exception):
    """``status`` is HTTP's, as the service answers; ``str`` is the text behind it."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class WrongName(TypeError):
    """No key can be called so."""


def key_name(key: object) -> str:
    """A key as text. Raises WrongName."""
    name = js_string(key)
    if not name:
        raise WrongName("Key name cannot be empty.")
    if name in (".", ".."):
        raise WrongName(f'"{name}" is not allowed as a key name.')
    return name


def bulk_key_name(key: object) -> str:
    """One of several keys. Raises Refused: it is the service that looks at these."""
    name = js_string(key)
    if not name:
        raise Refused(400, "Key names must not be empty")
    if name in (".", ".."):
        raise Refused(400, f'Illegal key name "{name}". Please use a different name.')
    return name


def check_length(key: str) -> None:
    """Of a key, or of a list's prefix. Raises Refused."""
    if len(key) * 4 > MAX_KEY_BYTES and (size := len(key.encode())) > MAX_KEY_BYTES:
        raise Refused(414, f"UTF-8 encoded length of {size} exceeds key length limit of {MAX_KEY_BYTES}.")


def check_value(size: int) -> None:
    """Raises Refused."""
    if size > MAX_VALUE_BYTES:
        raise Refused(413, f"Value length of {size} exceeds limit of {MAX_VALUE_BYTES}.")


def metadata_text(metadata: object) -> str | None:
    """As JSON; None where there is none. Raises Refused, and TypeError for a BigInt."""
    if metadata is None:
        return None
    text = stringify(metadata)
    if (size := len(text.encode())) > MAX_METADATA_BYTES:
        raise Refused(413, f"Metadata length of {size} exceeds limit of {MAX_METADATA_BYTES}.")
    return text


def expiration(ttl: object, moment: object) -> int | None:
    """Seconds since 1970, None: never. ``...`` stands for an option that was not given. Raises Refused."""
    now = math.floor(clock.now())
    if ttl is not ...:
        return now + _ttl(integer(ttl))
    if moment is ...:
        return None
    if (at := integer(moment)) <= now:
        raise Refused(400, f"Invalid expiration of {at}. Please specify integer greater than the current number of "
                           "seconds since the UNIX epoch.")  # fmt: skip
    if at < now + MIN_TTL_S:
        what = f"Expiration times must be at least {MIN_TTL_S} seconds in the future."
        raise Refused(400, f"Invalid expiration of {at}. {what}")
    return min(at, _FAR)


def _ttl(seconds: int) -> int:
    if seconds <= 0:
        raise Refused(400, f"Invalid expiration_ttl of {seconds}. Please specify integer greater than 0.")
    if seconds < MIN_TTL_S:
        raise Refused(400, f"Invalid expiration_ttl of {seconds}. Expiration TTL must be at least {MIN_TTL_S}.")
    return min(seconds, _FAR)


def check_cache_ttl(options: Mapping[str, Any]) -> None:
    """It has no effect here: nothing is staler than the disk. Raises Refused."""
    if "cacheTtl" in options and (seconds := integer(options["cacheTtl"])) < MIN_CACHE_TTL_S:
        raise Refused(400, f"Invalid cache_ttl of {seconds}. Cache TTL must be at least {MIN_CACHE_TTL_S}.")


def page_size(limit: object) -> int:
    """How many keys a list gives at a time. Raises Refused."""
    wanted = integer(_number(limit) if isinstance(limit, str) else limit)
    if wanted > MAX_PAGE:
        raise Refused(400, f"Invalid key_count_limit of {wanted}. Please specify an integer less than {MAX_PAGE}.")
    return wanted if wanted > 0 else MAX_PAGE


def _number(text: str) -> float:
    """As of a query's parameter; 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0


def integer(value: object) -> int:
    """As the service reads a number: cut to its whole part; 0 for what is none."""
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0


__all__ = [
    "MAX_BULK", "MAX_BULK_MB", "MAX_PAGE", "MAX_VALUE_BYTES", "Refused", "WrongName", "bulk_key_name",
    "check_cache_ttl", "check_length", "check_value", "expiration", "integer", "key_name", "metadata_text",
    "page_size",
]  # fmt: skip
