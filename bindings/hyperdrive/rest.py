"""Hyperdrive over Cloudflare's REST API, below ``hyperdrive/configs``, on a host.

https://developers.cloudflare.com/api/resources/hyperdrive/
"""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.hyperdrive.configs import Configs, HyperdriveConfig, Origin, Sslmode, new_id, now
from bindings.hyperdrive.product import configs
from bindings.rest import BAD_BODY, Api, ApiError, Entry, body_of, page_of, query_of
from runtime.web import Request

NO_CONFIG = 2001
_ONE = "{id}"
_DEFAULTS = {"disabled": False}


class Mtls(msgspec.Struct):
    sslmode: Sslmode | None = None
    ca_certificate_id: str | None = None
    mtls_certificate_id: str | None = None


class Given(msgspec.Struct):
    """Of a change all may be missing, of the origin parts as well."""

    name: str | None = None
    origin: dict[str, Any] | None = None
    caching: dict[str, Any] | None = None
    mtls: Mtls | None = None


class HyperdriveRest:
    def __init__(self, kept: Configs) -> None:
        self._configs = kept

    def entries(self) -> list[Entry]:
        return [
            ("GET", "", self.list),
            ("POST", "", self.create),
            ("GET", _ONE, self.get),
            ("PUT", _ONE, self.replace),
            ("PATCH", _ONE, self.change),
            ("DELETE", _ONE, self.delete),
        ]

    async def list(self, request: Request) -> object:
        return page_of([_shown(config) for config in self._configs.all()], query_of(request))

    async def create(self, request: Request) -> object:
        return self._keep(await body_of(request, Given), new_id(), now(), {})

    async def get(self, request: Request, id: str) -> object:
        return _shown(self._found(id))

    async def replace(self, request: Request, id: str) -> object:
        return self._keep(await body_of(request, Given), id, self._found(id).created, {})

    async def change(self, request: Request, id: str) -> object:
        given, before = await body_of(request, Given), self._found(id)
        return self._keep(given, id, before.created, msgspec.structs.asdict(before))

    async def delete(self, request: Request, id: str) -> object:
        self._found(id)
        await self._configs.remove(id)
        return None

    def _keep(self, given: Given, id: str, created: str, before: dict[str, Any]) -> object:
        mtls = given.mtls or Mtls(before.get("sslmode"))
        if mtls.ca_certificate_id or mtls.mtls_certificate_id:
            raise ApiError(400, BAD_BODY, "a host has no certificates of its own for a database")
        name = given.name or before.get("name")
        if not name:
            raise ApiError(400, BAD_BODY, "the configuration needs a name")
        old = msgspec.structs.asdict(before["origin"]) if before else {}
        caching = {**before.get("caching", _DEFAULTS), **(given.caching or {})}
        origin = _origin({**old, **(given.origin or {})})
        config = HyperdriveConfig(id, name, origin, caching, mtls.sslmode, created, now())
        self._configs.keep(config)
        return _shown(config)

    def _found(self, id: str) -> HyperdriveConfig:
        if (config := self._configs.find(id)) is None:
            raise ApiError(404, NO_CONFIG, f"there is no Hyperdrive configuration {id:.64}")
        return config


def _origin(given: dict[str, Any]) -> Origin:
    """Raises ApiError, which never has the password in it."""
    if given.get("scheme") == "mysql":
        raise ApiError(400, BAD_BODY, "a host speaks to databases of Postgres; mysql is for pilot dev")
    try:
        origin = msgspec.convert(given, Origin)
    except msgspec.ValidationError as error:
        raise ApiError(400, BAD_BODY, f"origin: {error}") from None
    if not all((origin.host, origin.database, origin.user, origin.password)) or not 0 < origin.port < 65536:
        raise ApiError(400, BAD_BODY, "origin: it needs a host, a port, a database, a user and a password")
    return origin


def _shown(config: HyperdriveConfig) -> dict[str, Any]:
    """Without the password, as upstream."""
    origin = msgspec.structs.asdict(config.origin)
    del origin["password"]
    shown = {
        "id": config.id, "name": config.name, "origin": origin, "caching": config.caching,
        "created_on": config.created, "modified_on": config.modified,
    }  # fmt: skip
    return shown if config.sslmode is None else {**shown, "mtls": {"sslmode": config.sslmode}}


def api(context: ProductContext) -> Api:
    return Api("hyperdrive/configs", HyperdriveRest(configs(context)).entries())


__all__ = ["api"]
