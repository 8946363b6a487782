"""What the registry keeps, one Struct per table. Times are ISO 8601 in UTC, as Cloudflare's API writes them."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

import msgspec


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a worker: its files, its settings, its (sealed) secrets."""

    id: str
    worker: str
    number: int
    bundle: str  # its files' digest
    main: str
    metadata: dict[str, Any]  # the upload's, without its secrets
    secrets: dict[str, str] = {}  # name → sealed text
    created: str
    source: str = "api"
    author: str = ""
    message: str = ""
    tag: str = ""
    triggered_by: str = "upload"


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions answered from then on. The newest of a worker is the one in force."""

    id: str
    worker: str
    versions: list[tuple[str, float]]  # (version id, per cent); one or two, 100 in all
    created: str
    source: str = "api"
    author: str = ""
    message: str = ""
    note: str = ""  # why the host itself made it


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """An API token; only its hash is kept."""

    id: str
    name: str
    hash: str
    scopes: list[str]
    created: str
    revoked: str | None = None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the control API that changed something, or was let in to try."""

    at: str
    token: str
    method: str
    path: str
    status: int
    peer: str = ""


class TallyRow(NamedTuple):
    """How often in a minute something was refused, or models were asked. ``token``: "" of a stranger."""

    minute: str
    token: str
    peer: str
    status: int
    what: str  # of the first of them: method and path
    times: int


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


__all__ = ["AuditRow", "DeploymentRow", "TallyRow", "TokenRow", "VersionRow", "now"]
