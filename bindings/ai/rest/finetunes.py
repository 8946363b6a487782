"""The fine-tunes' routes (docs/reference/workers-ai.md#fine-tunes), with or without a slash at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec

from bindings.ai.errors import bad_input
from bindings.ai.finetunes.rows import client_row
from bindings.ai.finetunes.store import MAX_FILE_BYTES, ORDERS, Finetunes
from bindings.ai.http.auth import AI_ROOT, Auth, Handler
from bindings.ai.http.bodies import json_object
from bindings.ai.http.responses import succeeded
from bindings.ai.rest.catalog import query
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import Request, Response

PATH = AI_ROOT + "/finetunes"
MAX_FORM_BYTES = MAX_FILE_BYTES + 100_000  # the file, and what else there is in a form
Count = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class PublicQuery(msgspec.Struct, frozen=True, rename={"order": "orderBy"}):
    limit: Count = 1000
    offset: Count = 0
    order: Literal[ORDERS] = "created_at"  # type: ignore[valid-type]


class FinetunesRest:
    """``service`` knows the models that they are made for, and has been lent the ``Finetunes``."""

    def __init__(self, service: AIService, auth: Auth) -> None:
        assert isinstance(service.adapters, Finetunes)
        self._service, self._finetunes, self._auth = service, service.adapters, auth

    def routes(self) -> list[Route]:
        handlers: dict[str, dict[str, Handler]] = {
            "": {"GET": self.list, "POST": self.create},
            "/public": {"GET": self.public},
            "/{id}": {"GET": self.get, "DELETE": self.delete},
        }
        paths = [(f"{PATH}{path}{slash}", methods) for path, methods in handlers.items() for slash in ("", "/")]
        uploads = [f"{PATH}/{{id}}/finetune-assets{slash}" for slash in ("", "/")]
        return [
            *(route for path, methods in paths for route in self._auth.routes(path, **methods)),
            *(route for path in uploads for route in self._auth.routes(path, MAX_FORM_BYTES, POST=self.upload)),
        ]

    async def create(self, request: Request, request_id: str, account: str) -> Response:
        fields = await json_object(request)
        if not isinstance(id := fields.get("model"), str):
            raise bad_input("required properties at '/' are 'model'")
        return succeeded(await self._finetunes.create(self._service.catalog.model(id), fields))

    async def list(self, request: Request, request_id: str, account: str) -> Response:
        return succeeded(await self._finetunes.listed())

    async def public(self, request: Request, request_id: str, account: str) -> Response:
        try:
            page = msgspec.convert(query(request), PublicQuery, strict=False)
        except msgspec.ValidationError as error:
            raise bad_input(f"query: {error}") from None
        rows = await self._finetunes.listed(
            public=True, order=page.order, limit=int(page.limit), offset=int(page.offset)
        )
        return succeeded(rows)

    async def get(self, request: Request, request_id: str, account: str, id: str) -> Response:
        return succeeded(client_row(await self._finetunes.get(id)))

    async def delete(self, request: Request, request_id: str, account: str, id: str) -> Response:
        await self._finetunes.delete(id)
        return succeeded(None)

    async def upload(self, request: Request, request_id: str, account: str, id: str) -> Response:
        await self._finetunes.receive(id, _chunks(request), request.headers.get("content-type") or "")
        return succeeded(None)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    body = request.take_body()
    if isinstance(body, bytes):
        yield body
    elif body is not None:
        async for chunk in body:
            yield chunk


__all__ = ["FinetunesRest"]
