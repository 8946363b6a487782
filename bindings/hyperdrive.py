"""``[[hyperdrive]] binding = "DB", id = "...", localConnectionString = "postgres://..."``: where a database is.

``pilot dev`` hands the connection string itself to the worker, whose own driver (asyncpg, psycopg, aiomysql ...) dials
it: there is no pool between. https://developers.cloudflare.com/hyperdrive/configuration/local-development/
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from runtime.config import Config
from runtime.errors import RequestError

VARIABLES = (  # the first that is set counts, before the configuration
    "CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
    "WRANGLER_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
)
PORTS = {"postgres": 5432, "postgresql": 5432, "mysql": 3306}


class HyperdriveTable(msgspec.Struct, frozen=True):
    """One of ``[[hyperdrive]]``."""

    binding: str
    id: str
    localConnectionString: str | None = None


@dataclass(repr=False)
class HyperdriveBinding:
    """The host's half: it only hands over what it knows."""

    name: str
    client_args: Mapping[str, Any]
    client: str = "bindings.hyperdrive:Hyperdrive"

    def describe(self) -> tuple[str, str]:
        parts = urlsplit(self.client_args["url"])
        return "Hyperdrive", f"{parts.scheme}://{parts.hostname}{parts.path}"  # without user and password

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} has no {method}(): it has connectionString and its parts")


class Hyperdrive:
    """The worker's half: ``connectionString``, and of it ``host``, ``port``, ``user``, ``password``, ``database``."""

    def __init__(self, name: str, caller: object, url: str) -> None:
        parts = urlsplit(url)
        self.connectionString = url
        self.host, self.port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.database = unquote(parts.path.removeprefix("/"))

    def __repr__(self) -> str:
        return f"<Hyperdrive {self.host}:{self.port}>"


class HyperdriveProduct(Product):
    key, label, shape = "hyperdrive", "Hyperdrive", list[HyperdriveTable]
    types = ("hyperdrive",)

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            if (url := _url(table)) is None:
                what = f"env.{table.binding} has no database to speak to here"
                names = "\n".join(f"  or set:  {prefix}{table.binding}" for prefix in VARIABLES)
                remedy = f'Add:  localConnectionString = "postgres://user:password@localhost:5432/database"\n{names}'
                raise config.error(cls.key, what, number, remedy=remedy)
            if wrong := _wrong(url):
                raise config.error(cls.key, f"the connection string of env.{table.binding} {wrong}", number)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [HyperdriveBinding(table.binding, {"url": _url(table)}) for table in _tables(config)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"name": table.binding, "type": "hyperdrive", "id": table.id} for table in _tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        """A worker on a host opens no connections of its own."""
        raise RequestError(400, f"the binding {uploaded[0]['name']!r} is Hyperdrive, which a host does not serve yet")


def _tables(config: Config) -> Sequence[HyperdriveTable]:
    return config.tables(HyperdriveProduct.key, HyperdriveTable)


def _url(table: HyperdriveTable) -> str | None:
    variables = (os.environ.get(prefix + table.binding) for prefix in VARIABLES)
    return next(filter(None, variables), table.localConnectionString)


def _wrong(url: str) -> str | None:
    """What keeps it from being one; never the string itself, in which a password may be."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "cannot be read"
    if parts.scheme not in PORTS:
        return f"begins with none of {', '.join(PORTS)}"
    needed = {
        "user": parts.username,
        "password": parts.password,
        "host": parts.hostname,
        "database": parts.path.strip("/"),
    }
    missing = [name for name, value in needed.items() if not value]
    return f"has no {', no '.join(missing)}" if missing else None


__all__ = ["Hyperdrive", "HyperdriveProduct"]
