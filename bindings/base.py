"""What a binding is.

A product (``ai``, ``kv_namespaces`` …) is one file with one ``Product`` subclass and one line in
``bindings.PRODUCTS``. It answers four questions:

* ``parse``: what does its part of the configuration mean?   → the host's halves, one per binding name
* ``open`` / ``aclose``: what does it keep?                  (once per deployment; shared things via ``House``)
* ``client``: what does the worker see?                      (a small class, built inside the isolate)
* ``call``: what happens when the worker uses it?            (in the supervisor; the isolate cannot forge it)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runtime import web

if TYPE_CHECKING:
    from runtime.config import Config  # not needed in an isolate


@dataclass(frozen=True)
class Route:
    """One HTTP route that a product adds to the supervisor, written with the Web API types.

    ``path`` follows Starlette's syntax (``/client/v4/accounts/{account}/ai/run/{model:path}``), matched on
    the *decoded* path; the parameters arrive as ``handler(request, **params)``.
    """

    method: str
    path: str
    handler: Any  # Callable[..., Awaitable[web.Response]]
    when: Callable[[], bool] = lambda: True  # asked at each request; False leaves the path to the worker
    body_limit: int | None = None  # bytes; None: as [pilot] body_limit says


@dataclass
class HostStream:
    """A byte stream the supervisor owns and a worker may be handed: by handle, so that returning it
    unread costs the worker nothing. Whoever ends up with it closes it."""

    chunks: AsyncIterator[bytes]
    meta: Mapping[str, Any] = field(default_factory=dict)  # reaches the worker's half with the handle


@dataclass
class House:
    """What the supervisor lends to products: where to keep state, and how to tell the person something."""

    root: Path                     # the worker's project folder
    state: Path                    # .pilot/state
    on_host: bool                  # pilot host (True) or pilot dev (False)
    say: Any                       # observe.Observer: say.note(text), say.warn(text), say.progress(...)
    shared: dict[str, Any] = field(default_factory=dict)  # product key → what outlives reloads
    url: str = ""                  # where the supervisor answers, without a slash at the end
    config: Config | None = None   # on a host: its own settings
    admits: Callable[[str], bool] | None = None  # on a host: whether this token may use the models
    options: Mapping[str, Any] = field(default_factory=dict)  # command-line choices, e.g. {"engine": "echo"}


class Binding(Protocol):
    """The host's half of one configured binding."""

    name: str                      # as in env.NAME
    client: str                    # "module:Class" of the worker's half
    client_args: Mapping[str, Any]

    def describe(self) -> tuple[str, str]:
        """(what it is, where it is kept) for the banner; never a secret's value."""

    async def call(self, method: str, args: Sequence[Any]) -> Any:
        """Serve one call of the worker's half. Plain data, or a ``HostStream``. Errors: ``CallError``."""


class CallError(Exception):
    """An error that crosses to the worker: ``name`` becomes the exception's name there, ``fields`` its attributes."""

    def __init__(self, name: str, message: str, **fields: Any) -> None:
        self.name, self.fields = name, fields
        super().__init__(message)


class Product:
    """One Cloudflare product. Subclass, and add a line to ``bindings.PRODUCTS``."""

    key: ClassVar[str]             # the wrangler key it owns

    @classmethod
    def parse(cls, config: Config, house: House) -> Sequence[Binding]:
        """The bindings this configuration asks for; none when its key is absent."""
        raise NotImplementedError

    @classmethod
    async def start(cls, house: House) -> None:
        """Once per supervisor, before the first deployment: things that outlive reloads go into ``house.shared``."""

    @classmethod
    async def stop(cls, house: House) -> None:
        """Once, at the end."""

    @classmethod
    def remarks(cls, house: House) -> Sequence[str]:
        """Lines for the banner, once the configuration is parsed."""
        return ()

    @classmethod
    def engines(cls, house: House) -> Sequence[Mapping[str, Any]]:
        """The models it keeps, for a host's status: ``{"name", "state", "live", "device"}``."""
        return ()

    @classmethod
    def routes(cls, house: House) -> Sequence[Route]:
        """Routes this product adds to the supervisor."""
        return ()

    @classmethod
    async def metrics(cls, house: House) -> Sequence[Any]:
        """What it has counted: ``prometheus_client``'s metric families. Asked for at each scrape."""
        return ()


__all__ = ["Binding", "CallError", "HostStream", "House", "Product", "Route", "web"]
