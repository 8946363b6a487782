"""What a binding is.

A product (``ai``, ``kv_namespaces`` …) is one file or folder with one ``Product`` subclass, and one line in
``bindings.PRODUCTS``; nothing else in the tree names it. It answers:

* ``key``, ``label``, ``shape``, ``inherited``: which table of wrangler.toml is its own, and what may stand there?
* ``settings``: which settings of ``[pilot]`` are its own, among them what it allows each worker?
* ``parse``: what does its table mean?                → the host's halves, one per binding name
* ``start`` / ``stop``: what outlives reloads?        (once per supervisor; shared things via ``ProductContext``)
* ``upload`` / ``restore``, and the rest of ``deploying``: what does a deploy send, and how does a host read it back?
* ``keeps`` / ``purge``: what of it lies on a host's disk, and how does it go?
* ``responder``, ``folders``: which requests does it answer ahead of the worker, and which folders are its own?
* ``routes``, ``commands``, ``scopes``, ``status``, ``metrics``, ``remarks``: what else does it bring?
* ``worker_type``, ``env_types``: what are type checkers told of its bindings?
* ``fronts``: where is it, if a host has several supervisors?
* ``resident``: what of it lives on between requests, in a process of the worker's own?

``context.dispatch`` has a worker's ``scheduled``, ``queue`` or whatever a product calls it deal with an ``Event``.

And each of its bindings: ``client``, what the worker sees (a small class, built inside the isolate), and ``call``, what
happens when the worker uses it (in the supervisor; the isolate cannot forge it). One that leads to a worker is a
``bindings.binding.Leading``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from bindings.binding import Answering, Binding, Connect, EnvType, Explored, Leading, names_in
from bindings.context import Admits, FirstFront, Lending, ProductContext, ProductObserver, Seal
from bindings.deploying import Deploying
from bindings.messages import CallError, Event, HostStream, Resident, Target, WorkerStream
from runtime import web

if TYPE_CHECKING:  # not needed in an isolate
    from prometheus_client import Metric

    from bindings.responder import Responder
    from runtime.config import Config

RouteHandler = Callable[..., Awaitable[web.Response]]
"""``handler(request, **params)``: ``params`` are the path's."""


class Route(msgspec.Struct, frozen=True):
    """One HTTP route that a product adds to the supervisor, written with the Web API types.

    ``path`` follows Starlette's syntax (``/client/v4/accounts/{account}/ai/run/{model:path}``), matched on
    the *decoded* path; the parameters arrive as ``handler(request, **params)``. The first that matches answers, in the
    order of ``PRODUCTS``: ``ai`` answers what is left of ``/client/v4``, so a product with routes there stands
    before it.
    """

    method: str
    path: str
    handler: RouteHandler
    when: Callable[[], bool] = lambda: True  # asked at each request; False leaves the path to the worker
    body_limit: int | None = None  # bytes; None: as [pilot] body_limit says
    guarded: bool = False  # it wants a token: on a host one that may read (GET, HEAD) or deploy (anything else)
    origins: Callable[[], Collection[str]] | None = None  # whose pages may ask ("*": all); None: none of another site


class Product(Deploying):
    """One Cloudflare product. Subclass, and add a line to ``bindings.PRODUCTS``."""

    key: ClassVar[str]  # the wrangler key it owns
    label: ClassVar[str]  # what people call it
    shape: ClassVar[Any]  # its table's type, for msgspec; of a msgspec.Struct, an unknown key is warned of
    inherited: ClassVar[bool] = False  # whether [env.NAME] takes the table over from the top level
    settings: ClassVar[type[msgspec.Struct] | None] = None  # its part of [pilot]: ``config.settings(that)``
    at_start: ClassVar[tuple[str, ...]] = ()  # those of them that count once the server is restarted
    fronts: ClassVar[Literal["each", "near", "calls", "first"]] = "first"
    """Of a host with several supervisors, where it is. "each": opened and started in every one, for it keeps nothing
    and may be there twice. "calls": at the first, and workers anywhere call its bindings there; no ``Leading`` or
    ``Answering`` one, and none that gives a ``HostSocket``. "near": both; with ``context.first`` it asks the
    ``lending`` of the first for what there is one of. "first": workers that have one run at the first alone."""
    worker_type: ClassVar[str] = "typing:Any"  # "module:Class" of a binding in ``env``, for type checkers alone
    scopes: ClassVar[tuple[str, ...]] = ()  # what a host's token may be for, besides "deploy" and "read"
    explorer: ClassVar[str] = ""  # a JavaScript module beside its own that shows a binding of it on the explorer's page
    paths: ClassVar[tuple[str, ...]] = (
        "/client/v4/",
    )  # how its routes' begin: they are made for the first such request
    page: ClassVar[str] = ""  # what the page calls that module where it shows all there is, beside single bindings
    commands: ClassVar[Mapping[str, str]] = {}  # of ``pilot``: name → "module:click.Command"

    @classmethod
    def names(cls, table: object) -> Sequence[str]:
        """The names in ``env`` that its table asks for."""
        return names_in(table)

    @classmethod
    def env_types(cls, config: Config) -> Mapping[str, EnvType]:
        """What type checkers are told of its names in ``env``."""
        return dict.fromkeys(cls.names(config.products.get(cls.key)), EnvType(cls.worker_type))

    @classmethod
    def needs_no_script(cls, table: object) -> bool:
        """Whether its ``responder`` answers every request of a worker that has no script."""
        return False

    @classmethod
    def check(cls, config: Config) -> None:
        """What must be true of a configuration beyond its types. Raises ``ConfigError``."""

    @classmethod
    def files(cls, config: Config) -> Sequence[Path]:
        """Files beside the worker's that are about this machine: watched, and never sent to a host."""
        return ()

    @classmethod
    def received(
        cls, context: ProductContext, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Mapping[str, object]:
        """On a host, of an upload's metadata besides bindings: what is kept with the version in the place of what came.
        ``before``: what was kept with the version before. Raises ``RequestError``."""
        return {}

    @classmethod
    def admit(cls, context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
        """On a host: whether versions with this metadata, one or two, may answer from now on. Raises RequestError."""

    @classmethod
    async def answers(cls, context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
        """They do, and did when the host ended. Raises PilotError, sqlite3.Error."""

    @classmethod
    def described(cls, context: ProductContext, worker: str) -> Mapping[str, object]:
        """What a host's API says of the worker's script besides."""
        return {}

    @classmethod
    def sweep(cls, context: ProductContext, kept: Sequence[Mapping[str, Any]]) -> None:
        """Remove what no version's metadata names any more; ``kept`` are all of them. In a thread. Raises OSError."""

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        """The bindings this configuration asks for; none when its key is absent, or has nothing to do with ``env``."""
        return ()

    @classmethod
    def responder(cls, config: Config, context: ProductContext) -> Responder | None:
        """What answers this configuration's requests ahead of the worker; it lives as long as the version does."""
        return None

    @classmethod
    def resident(cls, config: Config, context: ProductContext) -> Resident | None:
        """The process that it keeps for this configuration's worker; of all products one has it."""
        return None

    @classmethod
    def folders(cls, config: Config) -> Sequence[Path]:
        """Folders that are the product's and not the worker's code: saving there reloads nothing, and what is in
        them is not sent with it."""
        return ()

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        """Once per supervisor, before the first deployment: things that outlive reloads go into ``context.shared``."""

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        """Once, at the end."""

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        """Ids of what this configuration's bindings keep on a host's disk: another worker that names one shares it."""
        return ()

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> bool | None:
        """Remove what is kept under this id, on disk: its last worker was deleted with ``pilot delete --purge``. False:
        there was nothing."""
        return None

    @classmethod
    def lending(cls, context: ProductContext) -> Lending | None:
        """At the first front: what answers one of the others, of a product that is ``near``."""
        return None

    @classmethod
    def remarks(cls, context: ProductContext) -> Sequence[str]:
        """Lines for the banner, once the configuration is parsed."""
        return ()

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """For a host's status: a heading → rows, which have the same keys."""
        return {}

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        """Routes this product adds to the supervisor."""
        return ()

    @classmethod
    async def metrics(cls, context: ProductContext) -> Sequence[Metric]:
        """What it has counted. Asked for at each scrape."""
        return ()


def rest_routes(prefix: str, make: str, context: ProductContext, body_limit: int | None = None) -> Sequence[Route]:
    """Those of Cloudflare's REST API below an account's ``prefix``. ``make``: "module:function", which is imported at
    the first call and gives for ``context`` what answers ``(request, path)``, a ``bindings.rest.Api``."""

    @cache
    def api() -> RouteHandler:
        made: RouteHandler = resolve_name(make)(context)
        return made

    async def answer(request: web.Request, account: str, path: str = "") -> web.Response:
        return await api()(request, path)

    root = f"/client/v4/accounts/{{account}}/{prefix}"
    paths = (root, root + "/{path:path}")
    return [Route("*", path, answer, body_limit=body_limit, guarded=True) for path in paths]


__all__ = [
    "Admits",
    "Answering",
    "Binding",
    "CallError",
    "Connect",
    "EnvType",
    "Event",
    "Explored",
    "FirstFront",
    "HostStream",
    "Leading",
    "Lending",
    "Product",
    "ProductContext",
    "ProductObserver",
    "Resident",
    "Route",
    "RouteHandler",
    "Seal",
    "Target",
    "WorkerStream",
    "names_in",
    "rest_routes",
    "web",
]
