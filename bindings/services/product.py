"""``[[services]] binding = "AUTH", service = "auth"``: another worker, called by ``fetch`` and by its methods.

https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext, Target
from bindings.storage.keeping import refuse_remote
from runtime.config import Config
from runtime.errors import RequestError

_DEFAULT = "Default"


class ServiceTable(msgspec.Struct, frozen=True):
    """One of ``[[services]]``."""

    binding: str
    service: str
    entrypoint: str | None = None
    props: dict[str, Any] = {}
    environment: str | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None


class ServiceBinding:
    client = "bindings.services.worker:Fetcher"
    client_args: Mapping[str, Any] = {}

    def __init__(self, table: ServiceTable) -> None:
        self.name = table.binding
        self._target = Target(table.service, table.entrypoint or _DEFAULT, props=table.props)

    def describe(self) -> tuple[str, str]:
        target = self._target
        return "worker", target.worker if target.entrypoint == _DEFAULT else f"{target.worker} {target.entrypoint}"

    def target(self, address: object) -> Target:
        return self._target

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} is called where it leads to")


class Services(Product):
    key, label, shape = "services", "Service bindings", list[ServiceTable]
    worker_type = "bindings.services.worker:Fetcher"
    types = ("service",)

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            refuse_remote(config, cls.key, number, table)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [ServiceBinding(table) for table in _tables(config)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [_uploaded(table) for table in _tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        tables = [
            {"binding": item["name"], **{key: item[key] for key in _OPTIONAL if key in item}} for item in uploaded
        ]
        try:
            msgspec.convert(tables, list[ServiceTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a service binding: {error}") from None
        return tables


_OPTIONAL = ("service", "entrypoint", "props", "environment")


def _uploaded(table: ServiceTable) -> Mapping[str, Any]:
    found = {key: getattr(table, key) for key in _OPTIONAL}
    return {"name": table.binding, "type": "service", **{key: value for key, value in found.items() if value}}


def _tables(config: Config) -> Sequence[ServiceTable]:
    return config.tables(Services.key, ServiceTable)


__all__ = ["Services"]
