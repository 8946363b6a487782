"""``/__pilot/``: a page to look at what is served, what happens, and what each binding keeps.

The page is files of this folder, and asks the same routes that commands ask. How a product's binding is looked into is
its own: ``Product.explorer`` names a JavaScript module beside it, and the page imports that. What is data wants a token
wherever the routes of products want one; the files say nothing of anybody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from bindings.base import Binding, Explored, Product, ProductContext, Route, RouteHandler
from runtime import VERSION
from runtime.config import Config
from runtime.isolate.ambient import is_listed
from runtime.supervisor.explorer.feed import Feed
from runtime.web import Request, Response

ROOT = "/__pilot/"
STATE, EVENTS, TRACES = ROOT + "state", ROOT + "events", ROOT + "traces"
PAGE = Path(__file__).with_name("page")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

Served = tuple[Config, Sequence[Binding]]


class Explorer:
    """``served``: the configuration and the bindings of each worker that answers now."""

    def __init__(
        self,
        context: ProductContext,
        products: Sequence[type[Product]],
        feed: Feed,
        traces: Feed,
        served: Callable[[], Iterable[Served]],
    ) -> None:
        self._context, self._products, self._served = context, products, served
        self._feed, self._traces = feed, traces

    def files(self) -> list[Route]:
        """The page, for everybody who may use our own routes."""
        paths = (ROOT, self.page), (ROOT.rstrip("/"), self.to_page), (ROOT + "page/{name}", self.file)
        return [Route("GET", path, handler) for path, handler in (*paths, (ROOT + "views/{key}.js", self.view))]

    def routes(self) -> list[Route]:
        """All of it, as ``pilot dev`` serves it."""
        return [*self.files(), *(Route("GET", path, handler, guarded=True) for path, handler in self.data().items())]

    def data(self) -> Mapping[str, RouteHandler]:
        """What wants a token where others do."""
        return {STATE: self.state, EVENTS: self.events, TRACES: self.traces}

    async def to_page(self, request: Request) -> Response:
        return Response(None, status=308, headers={"location": ROOT})

    async def page(self, request: Request) -> Response:
        return _file(PAGE / "index.html")

    async def file(self, request: Request, name: str) -> Response:
        return _file(PAGE / name) if name in {path.name for path in PAGE.iterdir()} else _nothing()

    async def view(self, request: Request, key: str) -> Response:
        product = next((one for one in self._products if one.key == key and one.explorer), None)
        return _nothing() if product is None else _file(_beside(product))

    async def state(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self.shown(), enc_hook=str), headers=_JSON)

    def shown(self) -> Mapping[str, object]:
        status = {head: rows for product in self._products for head, rows in product.status(self._context).items()}
        workers = [self._worker(config, bindings) for config, bindings in self._served()]
        pages = [
            {"key": one.key, "title": one.page}
            for one in self._products
            if one.page and one.key in self._context.shared
        ]
        return {
            "version": VERSION,
            "onHost": self._context.on_host,
            "workers": workers,
            "pages": pages,
            "status": status,
        }

    async def events(self, request: Request) -> Response:
        """``Last-Event-ID: FEED-NUMBER`` goes on after that one of this feed; of another one all is new."""
        return _followed(request, self._feed)

    async def traces(self, request: Request) -> Response:
        """The same of what requests and events have caused."""
        return _followed(request, self._traces)

    def _worker(self, config: Config, bindings: Sequence[Binding]) -> Mapping[str, object]:
        views = {
            name: product.key
            for product in self._products
            if product.explorer and product.key in config.products
            for name in product.names(config.products[product.key])
        }
        return {
            "name": config.name,
            "bindings": [_binding(one, views.get(one.name)) for one in bindings if is_listed(one.name)],
        }


def _followed(request: Request, feed: Feed) -> Response:
    known, _, number = (request.headers.get("last-event-id") or "").partition("-")
    since = int(number) if known == feed.id and number.isdecimal() else 0
    headers = {"content-type": "text/event-stream", "cache-control": "no-store", "x-feed": feed.id}
    return Response(feed.stream(since), headers=headers)


def _binding(binding: Binding, view: str | None) -> Mapping[str, object]:
    what, where = binding.describe()
    facts = binding.explored if isinstance(binding, Explored) else {}
    return {"name": binding.name, "what": what, "where": where, "view": view, "facts": facts}


def _beside(product: type[Product]) -> Path:
    return Path(str(sys.modules[product.__module__].__file__)).with_name(product.explorer)


def _file(path: Path) -> Response:
    return Response(path.read_bytes(), headers={**HEADERS, "content-type": KINDS[path.suffix] + "; charset=utf-8"})


def _nothing() -> Response:
    return Response("there is no such file\n", status=404)


_JSON = {"content-type": "application/json", "cache-control": "no-store"}

__all__ = ["ROOT", "Explorer"]
