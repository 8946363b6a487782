"""``[[secrets_store_secrets]] binding = "KEY", store_id = "s", secret_name = "key"``: ``await env.KEY.get()``.

Its value is the secret of that name: of ``.dev.vars`` in ``pilot dev``, of ``pilot secret put`` on a host.
https://developers.cloudflare.com/secrets-store/integrations/workers/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from runtime.config import Config
from runtime.errors import RequestError


class SecretTable(msgspec.Struct, frozen=True):
    """One of ``[[secrets_store_secrets]]``."""

    binding: str
    store_id: str
    secret_name: str


class SecretBinding:
    """The value is sent when it is asked for, and not before."""

    client = "bindings.secrets_store.worker:Secret"
    client_args: Mapping[str, Any] = {}

    def __init__(self, table: SecretTable, secrets: Mapping[str, str]) -> None:
        self.name, self._secret_name, self._secrets = table.binding, table.secret_name, secrets

    def describe(self) -> tuple[str, str]:
        return "secret of a store", self._secret_name + ("" if self._secret_name in self._secrets else " (not set)")

    async def call(self, method: str, args: Sequence[Any]) -> object:
        if method != "get":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        if self._secret_name not in self._secrets:
            raise CallError("Error", f'Secret "{self._secret_name}" not found')
        return self._secrets[self._secret_name]


class SecretsStore(Product):
    key, label, shape = "secrets_store_secrets", "Secrets Store", list[SecretTable]
    fronts = "calls"
    worker_type = "bindings.secrets_store.worker:Secret"
    types = ("secrets_store_secret",)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [SecretBinding(table, config.secrets) for table in _tables(config)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": table.binding, "type": cls.types[0], "store_id": table.store_id, "secret_name": table.secret_name}
            for table in _tables(config)
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        tables = [
            {"binding": item["name"], **{key: item.get(key) for key in ("store_id", "secret_name")}}
            for item in uploaded
        ]
        try:
            msgspec.convert(tables, list[SecretTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a secrets_store_secret binding: {error}") from None
        return tables


def _tables(config: Config) -> Sequence[SecretTable]:
    return config.tables(SecretsStore.key, SecretTable)


__all__ = ["SecretsStore"]
