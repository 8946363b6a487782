"""The catalog's routes (docs/reference/catalog.md#search, #schemas, #tasks-and-authors)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bindings.ai import errors
from bindings.ai.catalog.resolve import Catalog
from bindings.ai.catalog.search import authors, search_models, tasks
from bindings.ai.http.auth import AI_ROOT, Auth, Handler
from bindings.ai.http.responses import succeeded
from bindings.ai.schemas import schemas
from bindings.ai.service import AIService
from bindings.base import Route
from runtime.web import URL, Request, Response


class CatalogRest:
    """models/search, models/schema, tasks/search and authors/search, with or without a slash at the end."""

    def __init__(self, service: AIService, auth: Auth) -> None:
        self._service, self._auth = service, auth

    def routes(self) -> list[Route]:
        handlers: dict[str, Handler] = {
            "models/search": self.search,
            "models/schema": self.schema,
            "tasks/search": self._list_route(tasks),
            "authors/search": self._list_route(authors),
        }
        paths = [(f"{AI_ROOT}/{name}{slash}", handler) for name, handler in handlers.items() for slash in ("", "/")]
        return [route for path, handler in paths for route in self._auth.routes(path, GET=handler)]

    async def search(self, request: Request, request_id: str, account: str) -> Response:
        """The marketplace's format is read by some clients in ``data``, by others in ``result``."""
        page = search_models(self._service.catalog, query(request))
        if page.format:
            return succeeded(page.items, result_info=page.info, data=page.items)
        return succeeded(page.items, result_info=page.info)

    async def schema(self, request: Request, request_id: str, account: str) -> Response:
        id = query(request).get("model")
        if not id:
            raise errors.bad_input("required properties at '/' are 'model'")
        return succeeded(schemas.of(self._service.catalog.model(id)))

    def _list_route(self, list_of: Callable[[Catalog], list[Any]]) -> Handler:
        async def answer(request: Request, request_id: str, account: str) -> Response:
            return succeeded(list_of(self._service.catalog))

        return answer


def query(request: Request) -> dict[str, str]:
    """The query's parameters; of one that is given twice, the last."""
    return dict(URL(request.url).search_params.items()) if "?" in request.url else {}


__all__ = ["CatalogRest", "query"]
