"""The resources of one product: a folder each, opened once per process, whoever is bound to them.

    <state>/<product>/<safe name of the id>/about.json      what it is
                                            ...             what the product keeps

``about.json`` is written whole or not at all. A resource is there from the moment a configuration names it, or someone
creates it; it goes when someone removes it, and by nothing else.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from bindings.base import ProductContext
from bindings.storage.claim import claim
from bindings.storage.names import safe_name
from runtime.errors import UserError

_CLAIM = "state"  # of ProductContext.shared: the lock's descriptor, which lasts as long as the process
_ABOUT = "about.json"
_REMOVED = ".removed-"


class About(msgspec.Struct, frozen=True):
    """What is known of a resource: ``created`` is ISO 8601 in UTC, ``facts`` are its product's."""

    id: str
    name: str
    created: str
    facts: dict[str, Any] = {}


class Resource(Protocol):
    """What is kept open over reloads: a namespace, a database, a bucket."""

    def aclose(self) -> Awaitable[None]: ...


R = TypeVar("R", bound=Resource)


class Resources(Generic[R]):
    """By id. ``make(folder, about)`` must be cheap: files are opened when they are first needed.

    A supervisor gives its ``context``, and ``claim`` keeps others out; a command works beside it.
    """

    def __init__(
        self, state: Path, product: str, make: Callable[[Path, About], R], context: ProductContext | None = None
    ) -> None:
        self.folder, self._make, self._context = state / product, make, context
        self._open: dict[str, R] = {}

    def claim(self) -> None:
        """Once a worker uses it. Raises UserError: another process keeps its state there."""
        context = self._context
        if context is not None and not context.on_host and _CLAIM not in context.shared:  # a host has its own lock
            context.shared[_CLAIM] = claim(context.state)

    def get(self, id: str, name: str | None = None, facts: Mapping[str, Any] | None = None) -> R:
        """The one of that id, which is created if it is not there. Raises UserError: the disk cannot be used."""
        self.claim()
        return self.find(id) or self.create(id, name, facts)

    def find(self, id: str) -> R | None:
        """The one of that id, if there is one."""
        if (found := self._open.get(id)) is None and (about := self.about(id)) is not None:
            found = self._open[id] = self._make(self.folder / safe_name(id), about)
        return found

    def create(self, id: str, name: str | None = None, facts: Mapping[str, Any] | None = None) -> R:
        """A new one. Raises UserError."""
        self.claim()
        self.describe(About(id, name or id, datetime.now(UTC).isoformat(timespec="milliseconds"), dict(facts or {})))
        found = self.find(id)
        assert found is not None
        return found

    def describe(self, about: About) -> None:
        """Write down what it is, in place of what was written. Raises UserError."""
        folder = self.folder / safe_name(about.id)
        aside = folder / f".{secrets.token_hex(8)}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(aside, "xb") as file:
                file.write(msgspec.json.encode(about))
                file.flush()
                os.fsync(file.fileno())
            aside.rename(folder / _ABOUT)
        except OSError as error:
            raise UserError(f"cannot be written: {error.strerror}", where=str(folder)) from None

    def about(self, id: str) -> About | None:
        """What is known of the one of that id; None: there is none."""
        return _read(self.folder / safe_name(id))

    def all(self) -> list[About]:
        """Every one, open or not, by name."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            found = [_read(Path(entry)) for entry in entries if not entry.name.startswith(".")]
            return sorted((about for about in found if about is not None), key=lambda about: (about.name, about.id))
        return []

    async def remove(self, id: str) -> bool:
        """Close it and remove what it keeps. Whether there was one."""
        folder, gone = self.folder / safe_name(id), self.folder / f"{_REMOVED}{secrets.token_hex(8)}"
        if (found := self._open.pop(id, None)) is not None:
            await found.aclose()
        try:
            folder.rename(gone)  # at once and whole, whatever becomes of this process
        except FileNotFoundError:
            return False
        await asyncio.to_thread(shutil.rmtree, gone, True)
        return True

    async def aclose(self) -> None:
        await asyncio.gather(*(resource.aclose() for resource in self._open.values()))
        self._open.clear()
        with suppress(FileNotFoundError):
            for left in self.folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(left, ignore_errors=True)


def _read(folder: Path) -> About | None:
    try:
        return msgspec.json.decode((folder / _ABOUT).read_bytes(), type=About)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"cannot be read: {error}", where=str(folder / _ABOUT)) from None


__all__ = ["About", "Resource", "Resources"]
