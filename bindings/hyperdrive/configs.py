"""A host's Hyperdrive configurations: where a database is, and what it wants to see.

<state>/hyperdrive/<id>/about.json      the password in it sealed, as a worker's secrets are
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from bindings.base import Seal
from bindings.storage.resources import About, Resources

_SEALED_FOR = "/hyperdrive"  # which no worker is called

Sslmode = Literal["require", "verify-ca", "verify-full"]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A database of Postgres."""

    host: str
    database: str
    user: str
    password: str
    scheme: Literal["postgres", "postgresql"] = "postgresql"
    port: int = 5432


class HyperdriveConfig(msgspec.Struct, frozen=True):
    """``caching`` is kept and changes nothing: nothing is cached here."""

    id: str
    name: str
    origin: Origin
    caching: Mapping[str, Any]
    sslmode: Sslmode | None
    created: str
    modified: str


class Configs:
    def __init__(self, state: Path, seal: Seal) -> None:
        self._kept: Resources[Any] = Resources(state, "hyperdrive", _nothing)
        self._seal = seal

    def all(self) -> list[HyperdriveConfig]:
        return [self._opened(about) for about in self._kept.all()]

    def find(self, id: str) -> HyperdriveConfig | None:
        """As it is now. Raises UserError: it cannot be read."""
        about = self._kept.about(id)
        return None if about is None else self._opened(about)

    def keep(self, config: HyperdriveConfig) -> None:
        """On disk, in place of the one of that id. Raises UserError."""
        facts = msgspec.to_builtins(config)
        password = facts["origin"].pop("password")
        facts["sealed"] = self._seal.close(_SEALED_FOR, config.id, password)
        self._kept.describe(About(config.id, config.name, config.created, facts))

    async def remove(self, id: str) -> bool:
        return await self._kept.remove(id)

    def _opened(self, about: About) -> HyperdriveConfig:
        password = self._seal.open(_SEALED_FOR, about.id, about.facts["sealed"])
        facts = {**about.facts, "origin": {**about.facts["origin"], "password": password}}
        return msgspec.convert(facts, HyperdriveConfig)


def new_id() -> str:
    return secrets.token_hex(16)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing(folder: Path, about: About) -> None:
    """Nothing of it is ever open."""


__all__ = ["Configs", "HyperdriveConfig", "Origin", "Sslmode", "new_id", "now"]
