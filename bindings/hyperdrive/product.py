"""``[[hyperdrive]] binding = "DB", id = "...", localConnectionString = "postgres://..."``: where a database is.

``pilot dev`` hands the connection string itself to the worker, whose own driver (asyncpg, psycopg, aiomysql ...) dials
it. A host has the database under its id, and the worker's driver connects to it alone: see ``deployed``. There is no
pool between. https://developers.cloudflare.com/hyperdrive/configuration/local-development/
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext, Route, rest_routes
from bindings.hyperdrive.worker import PORTS
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.hyperdrive.configs import Configs

VARIABLES = (  # the first that is set counts, before the configuration
    "CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
    "WRANGLER_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
)


class HyperdriveTable(msgspec.Struct, frozen=True):
    """One of ``[[hyperdrive]]``."""

    binding: str
    id: str
    localConnectionString: str | None = None


@dataclass(repr=False)
class HyperdriveBinding:
    """The host's half in dev: it only hands over what it knows."""

    name: str
    client_args: Mapping[str, Any]
    client: str = "bindings.hyperdrive.worker:Hyperdrive"

    def describe(self) -> tuple[str, str]:
        parts = urlsplit(self.client_args["url"])
        return "Hyperdrive", f"{parts.scheme}://{parts.hostname}{parts.path}"  # without user and password

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} has no {method}(): it has connectionString and its parts")


class HyperdriveProduct(Product):
    key, label, shape = "hyperdrive", "Hyperdrive", list[HyperdriveTable]
    fronts = "each"
    worker_type = "bindings.hyperdrive.worker:Hyperdrive"
    types = ("hyperdrive",)

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            if (url := _url(table)) is not None and (wrong := _wrong(url)):
                raise config.error(cls.key, f"the connection string of env.{table.binding} {wrong}", number)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        """A database that is not there for ``pilot dev`` may be there for the host it is deployed to."""
        if not context.on_host and context.config is not None:
            cls.parse(context.config, context)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not (tables := _tables(config)):
            return ()
        if context.on_host:
            from bindings.hyperdrive.deployed import DeployedHyperdrive

            return [DeployedHyperdrive(table.binding, table.id, configs(context)) for table in tables]
        return [_local(config, number, table) for number, table in enumerate(tables)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"name": table.binding, "type": "hyperdrive", "id": table.id} for table in _tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("id"), str) or not item["id"]:
                raise RequestError(400, f"the Hyperdrive binding {item['name']!r} has no id")
        return [{"binding": item["name"], "id": item["id"]} for item in uploaded]

    @classmethod
    def received(
        cls, context: ProductContext, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Mapping[str, object]:
        """Raises RequestError: a binding names a configuration that this host does not have."""
        bindings = metadata.get("bindings")
        for item in bindings if isinstance(bindings, list) else []:
            if not isinstance(item, dict) or item.get("type") not in cls.types or not isinstance(item.get("id"), str):
                continue
            if configs(context).find(item["id"]) is None:
                what = f"the binding {str(item.get('name'))!r} names the Hyperdrive configuration {item['id']!r}"
                remedy = f"Make one and write its id:  wrangler hyperdrive create {worker} --connection-string=URL"
                raise RequestError(400, f"{what}, which this host does not have. {remedy}")
        return {}

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        if not context.on_host:
            return ()
        return rest_routes("hyperdrive/configs", "bindings.hyperdrive.rest:api", context)


def configs(context: ProductContext) -> Configs:
    """Those of this host."""
    from bindings.hyperdrive.configs import Configs

    assert context.seal is not None
    return Configs(context.state, context.seal)


def _tables(config: Config) -> Sequence[HyperdriveTable]:
    return config.tables(HyperdriveProduct.key, HyperdriveTable)


def _local(config: Config, number: int, table: HyperdriveTable) -> HyperdriveBinding:
    """Raises ConfigError."""
    if (url := _url(table)) is not None:
        return HyperdriveBinding(table.binding, {"url": url})
    what = f"env.{table.binding} has no database to speak to here"
    names = "\n".join(f"  or set:  {prefix}{table.binding}" for prefix in VARIABLES)
    remedy = f'Add:  localConnectionString = "postgres://user:password@localhost:5432/database"\n{names}'
    raise config.error(HyperdriveProduct.key, what, number, remedy=remedy)


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


__all__ = ["HyperdriveProduct", "configs"]
