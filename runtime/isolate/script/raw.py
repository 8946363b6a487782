"""The requests of Cloudflare's forms of a worker: a module's ``on_fetch`` is handed JavaScript's own there, not the
SDK's around it."""

from __future__ import annotations

from runtime import web
from runtime.values import JsDict, from_wire
from runtime.values.pairs import Paired


class RawHeaders(Paired, web.Headers):
    __slots__ = ()


class RawFormData(Paired, web.FormData): ...


class ParsedRequest(web.Request):
    """A class's: the members of its JSON, which is a dict, are attributes too."""

    __slots__ = ()

    async def json(self, **options: object) -> object:
        return _named(await super().json(**options))


class RawRequest(web.Request):
    """Its JSON is a proxy there: ``(await request.json()).name``, ``to_py()``. Here it is a dict, too; its headers and
    its form come in pairs."""

    __slots__ = ()

    @property
    def headers(self) -> web.Headers:
        found = super().headers
        found.__class__ = RawHeaders
        return found

    async def json(self, **options: object) -> object:
        return from_wire(await super().json(**options))

    async def form_data(self) -> web.FormData:
        return RawFormData(await super().form_data())

    formData = form_data


def _named(value: object) -> object:
    if type(value) is dict:
        return JsDict({name: _named(item) for name, item in value.items()})
    return [_named(item) for item in value] if type(value) is list else value


__all__ = ["ParsedRequest", "RawFormData", "RawHeaders", "RawRequest"]
