"""What products that keep resources on disk have in common at start; nothing that opens one is imported here."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bindings.base import Product, ProductContext
from runtime.config import Config

if TYPE_CHECKING:
    from bindings.storage.resources import Resources


class KeepingProduct(Product):
    """Its resources are in ``context.shared``, once the first one is bound or asked for."""

    folder: ClassVar[str]  # below the state folder
    resource: ClassVar[str]  # "module:name" of what opens one: ``Resources.make``, imported with the first

    @classmethod
    def resources(cls, context: ProductContext) -> Resources[Any]:
        """Those of this supervisor."""
        found: Resources[Any] | None = context.shared.get(cls.key)
        if found is None:
            from bindings.storage.resources import Resources

            found = context.shared[cls.key] = Resources(context.state, cls.folder, resolve_name(cls.resource), context)
        return found

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> bool | None:
        await cls.resources(context).remove(id)
        return None

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (opened := context.shared.pop(cls.key, None)) is not None:
            await opened.aclose()


class Remote(Protocol):
    """A table that may ask for Cloudflare's own resource."""

    @property
    def binding(self) -> str: ...

    @property
    def remote(self) -> bool | None: ...

    @property
    def experimental_remote(self) -> bool | None: ...


def refuse_remote(config: Config, key: str, number: int, table: Remote) -> None:
    """Raises ConfigError for table ``number`` of ``key`` if it is remote."""
    if table.remote or table.experimental_remote:
        what = f"env.{table.binding} is remote, and Pilotlight keeps everything local"
        raise config.error(key, what, number, remedy="Remove:  remote = true")


__all__ = ["KeepingProduct", "refuse_remote"]
