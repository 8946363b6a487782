"""``[images] binding = "IMAGES"``: Images, on Pillow. Facts: docs/reference/bindings.md#images.

What it does with an image happens in a process of its own, with limits: ``bindings.images.process``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Binding, CallError, Product, ProductContext
from runtime.config import Config
from runtime.errors import RequestError


class ImagesTable(msgspec.Struct, frozen=True):
    """``[images]``."""

    binding: str
    remote: bool | None = None
    experimental_remote: bool | None = None


class Images(Product):
    key, label, shape = "images", "Images", ImagesTable
    fronts = "each"
    worker_type = "bindings.images.env:ImagesBinding"
    types = ("images",)

    @classmethod
    def check(cls, config: Config) -> None:
        table = config.typed(cls.key, ImagesTable) if cls.key in config.products else None
        if table is not None and (table.remote or table.experimental_remote):
            what = "is remote, and Pilotlight keeps everything local"
            raise config.error(cls.key, what, remedy="Remove:  remote = true")

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if cls.key not in config.products:
            return ()
        return [ImagesBinding(config.typed(cls.key, ImagesTable).binding, context)]

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (processes := context.shared.pop(cls.key, None)) is not None:
            await processes.aclose()

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        table = config.products.get(cls.key)
        return [{"name": table["binding"], "type": "images"}] if table else []

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        if len(uploaded) > 1:
            raise RequestError(400, "a worker has one images binding")
        return {"binding": uploaded[0]["name"]}


class ImagesBinding:
    """The host's half, whose other modules are imported at the first call."""

    client = "bindings.images.worker:ImagesBinding"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, context: ProductContext) -> None:
        self.name, self._shared = name, context.shared
        self._places: asyncio.Semaphore | None = None

    def describe(self) -> tuple[str, str]:
        from bindings.images.binding import needed

        command = needed()
        return "Images", "Pillow" if command is None else f"needs Pillow:  {command}"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        from bindings.images.binding import MAX_AT_ONCE, Processes, needed, serve

        if method not in ("info", "output") or not args:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        if command := needed():
            what = f"env.{self.name} needs Pillow, which is not installed on this machine: {command}"
            raise CallError("Error", what, code=9523)
        if (processes := self._shared.get(Images.key)) is None:
            processes = self._shared[Images.key] = Processes()
        self._places = self._places or asyncio.Semaphore(MAX_AT_ONCE)
        async with self._places:
            return await serve(processes, method, args)


__all__ = ["Images", "ImagesTable"]
