"""``onlyIf``: whether a call shall do anything, judged by the object that is there.

https://developers.cloudflare.com/r2/api/workers/workers-api-reference/#conditional-operations
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from bindings.base import CallError
from bindings.r2 import errors
from bindings.r2.model import StoredObject, http_date, milliseconds

_TAG = re.compile(r'\s*(?:(W/)?"([^"]*)"|(\*))\s*')


class Condition(NamedTuple):
    """Tags without their quotes; "*" is any object. Moments in milliseconds since 1970."""

    matches: Sequence[str] | None = None
    differs: Sequence[str] | None = None
    before: int | None = None
    after: int | None = None
    whole_seconds: bool = False

    def holds(self, stored: StoredObject | None) -> bool:
        if stored is None:
            return self.matches is None and self.after is None
        same = self.matches is None or _any(self.matches, stored.etag)
        other = self.differs is None or not _any(self.differs, stored.etag)
        uploaded = stored.uploaded // 1000 * 1000 if self.whole_seconds else stored.uploaded
        newer = self.after is None or uploaded > self.after or (self.differs is not None and other)
        older = self.before is None or uploaded < self.before or (self.matches is not None and same)
        return same and other and newer and older


def parse_condition(given: object, options: str = "GetOptions") -> Condition | None:
    """An object, or headers as a list of pairs. Raises CallError."""
    if given is None:
        return None
    if isinstance(given, list):
        return _of_headers({str(name).lower(): str(value) for name, value in given})
    if not isinstance(given, dict):
        raise errors.wrong_field("onlyIf", options, "Conditional or Headers")
    return Condition(
        _tags(given, "etagMatches"), _tags(given, "etagDoesNotMatch"), _moment(given, "uploadedBefore"),
        _moment(given, "uploadedAfter"), bool(given.get("secondsGranularity")),
    )  # fmt: skip


def _any(tags: Sequence[str], etag: str) -> bool:
    return "*" in tags or etag in tags


def _tags(given: dict[str, Any], field: str) -> Sequence[str] | None:
    tag = given.get(field)
    if tag is None:
        return None
    if not isinstance(tag, str):
        raise errors.wrong_field(field, "Conditional", "string")
    if tag.startswith('"') or tag.endswith('"'):
        raise errors.type_error(f"Conditional ETag should not be wrapped in quotes ({tag}).")
    return [tag]


def _moment(given: dict[str, Any], field: str) -> int | None:
    value = given.get(field)
    if value is None:
        return None
    if (found := milliseconds(value)) is None:
        raise errors.wrong_field(field, "Conditional", "date")
    return found


def _of_headers(headers: dict[str, str]) -> Condition:
    matches, differs = (_header_tags(headers, name) for name in ("if-match", "if-none-match"))
    after, before = (_header_date(headers, name) for name in ("if-modified-since", "if-unmodified-since"))
    return Condition(matches, differs, before, after, whole_seconds=True)


def _header_tags(headers: dict[str, str], name: str) -> Sequence[str] | None:
    if (text := headers.get(name)) is None:
        return None
    tags, at = [], 0
    while found := _TAG.match(text, at):
        tags.append(found[3] or found[2])
        at = found.end()
        if at == len(text):
            return tags
        if text[at] != ",":
            break
        at += 1
    raise CallError("Error", f"Invalid ETag in {name} header")


def _header_date(headers: dict[str, str], name: str) -> int | None:
    date = http_date(headers[name]) if name in headers else None
    return None if date is None else round(date.timestamp() * 1000)


__all__ = ["Condition", "parse_condition"]
