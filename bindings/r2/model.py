"""An object's metadata, and what may stand in it."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from bindings.r2 import errors
from runtime.values import js_string

MAX_KEY_BYTES = 1024
MAX_CUSTOM_BYTES = 8192  # keys and values of the custom metadata together
FIELDS = {  # of httpMetadata: the header that says the same
    "contentType": "content-type", "contentLanguage": "content-language", "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding", "cacheControl": "cache-control", "cacheExpiry": "expires",
}  # fmt: skip


class R2Metadata(msgspec.Struct, frozen=True):
    """What whoever puts an object says of it. ``http``: by name, those of FIELDS that were given."""

    http: dict[str, Any] = {}
    custom: dict[str, str] = {}
    storage_class: str = ""
    ssec_key_md5: str | None = None


class StoredObject(msgspec.Struct, frozen=True):
    """``uploaded``: milliseconds since 1970; ``checksums``: hex, by algorithm; ``blob``: the file it is in."""

    key: str
    version: str
    size: int  # bytes
    etag: str
    uploaded: int
    metadata: R2Metadata
    checksums: dict[str, str]
    content: bytes | None = None
    blob: str | None = None

    def to_wire(
        self, offset: int = 0, length: int | None = None, *, http: bool = True, custom: bool = True,
        ranged: bool = True,
    ) -> object:  # fmt: skip
        """As the worker's half takes it. ``ranged``: with its range, as of what is read."""
        range = [offset, self.size - offset if length is None else length]
        return {
            "key": self.key, "version": self.version, "size": self.size, "etag": self.etag,
            "uploaded": moment(self.uploaded), "checksums": self.checksums,
            "range": range if ranged else None,
            "http": _http_to_wire(self.metadata.http) if http else {}, "custom": self.metadata.custom if custom else {},
            "storageClass": self.metadata.storage_class, "ssecKeyMd5": self.metadata.ssec_key_md5,
        }  # fmt: skip


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def parse_key(given: object) -> str:
    """Raises R2Error."""
    key = js_string(given)
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise errors.bad_name()
    return key


def parse_metadata(options: Mapping[str, Any], ssec_key_md5: str | None = None) -> R2Metadata:
    """``httpMetadata`` (an object, or headers as a list of pairs), ``customMetadata`` and ``storageClass``."""
    custom = options.get("customMetadata") or {}
    if not isinstance(custom, dict):
        raise errors.wrong_field("customMetadata", "PutOptions", "object")
    texts = {js_string(name): js_string(value) for name, value in custom.items()}
    if sum(len(name.encode()) + len(value.encode()) for name, value in texts.items()) > MAX_CUSTOM_BYTES:
        raise errors.metadata_too_large()
    storage_class = options.get("storageClass")
    http = _http(options.get("httpMetadata") or {})
    return R2Metadata(http, texts, "" if storage_class is None else js_string(storage_class), ssec_key_md5)


def _http(given: object) -> dict[str, Any]:
    if isinstance(given, list):
        headers = {str(name).lower(): value for name, value in given}
        found = {field: headers.get(header) for field, header in FIELDS.items()}
    elif isinstance(given, dict):
        found = {field: given.get(field) for field in FIELDS}
    else:
        raise errors.wrong_field("httpMetadata", "PutOptions", "HttpMetadata or Headers")
    return {
        field: _expiry(value) if field == "cacheExpiry" else js_string(value)
        for field, value in found.items()
        if value is not None
    }


def _expiry(given: object) -> int:
    """Milliseconds since 1970."""
    found = milliseconds(http_date(given) if isinstance(given, str) else given)
    if found is None:
        raise errors.wrong_field("cacheExpiry", "HttpMetadata", "date")
    return found


def milliseconds(given: object) -> int | None:
    """Since 1970, of a date or of that number; None where it is neither."""
    if isinstance(given, datetime):
        return round(given.timestamp() * 1000)
    return int(given) if isinstance(given, int | float) and isfinite(given) and not isinstance(given, bool) else None


def http_date(text: str) -> datetime | None:
    """A date as HTTP writes it; None where it is none."""
    try:
        parsed = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _http_to_wire(http: Mapping[str, Any]) -> dict[str, Any]:
    return {field: moment(value) if field == "cacheExpiry" else value for field, value in http.items()}


__all__ = ["FIELDS", "R2Metadata", "StoredObject", "http_date", "milliseconds", "moment", "parse_key", "parse_metadata"]
