"""``env.NAME`` of Hyperdrive, as the worker sees it."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

PORTS = {"postgres": 5432, "postgresql": 5432, "mysql": 3306}


class Hyperdrive:
    """``connectionString``, and of it ``host``, ``port``, ``user``, ``password``, ``database``."""

    def __init__(self, name: str, caller: object, url: str) -> None:
        parts = urlsplit(url)
        self.connectionString = url
        self.host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
        self.port = parts.port or PORTS[parts.scheme]
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.database = unquote(parts.path.removeprefix("/"))

    def __repr__(self) -> str:
        return f"<Hyperdrive {self.host}:{self.port}>"


__all__ = ["PORTS", "Hyperdrive"]
