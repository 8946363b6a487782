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
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

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


class _Opened(NamedTuple):
    resource: Any
    path: str  # of its about.json
    seen: tuple[int, int] | None  # which file that was
    created: str


class Resources(Generic[R]):
    """By id. ``make(folder, about)`` must be cheap: files are opened when they are first needed.

    A supervisor gives its ``context``, and ``claim`` keeps others out; a command works beside it, and what it removes
    is closed here when it is next asked for.
    """

    def __init__(
        self, state: Path, product: str, make: Callable[[Path, About], R], context: ProductContext | None = None
    ) -> None:
        self.folder, self._make, self._context = state / product, make, context
        self._open: dict[str, _Opened] = {}
        self._closing: set[asyncio.Future[None]] = set()

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
        if (opened := self._open.get(id)) is not None:
            if _seen(opened.path) == opened.seen or self._is_still(id, opened):
                return cast("R", opened.resource)
            self._let_go(id)
        if (about := self.about(id)) is None:
            return None
        folder = self.folder / safe_name(id)
        path, made = str(folder / _ABOUT), self._make(folder, about)
        self._open[id] = _Opened(made, path, _seen(path), about.created)
        return made

    def _is_still(self, id: str, opened: _Opened) -> bool:
        """Whether it is only described anew."""
        seen, about = _seen(opened.path), self.about(id)
        if about is None or about.created != opened.created:
            return False
        self._open[id] = opened._replace(seen=seen)
        return True

    def _let_go(self, id: str) -> None:
        """Another process has removed it."""
        closing = asyncio.ensure_future(self._open.pop(id).resource.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def create(self, id: str, name: str | None = None, facts: Mapping[str, Any] | None = None) -> R:
        """A new one. Raises UserError."""
        self.claim()
        self.describe(About(id, name or id, datetime.now(UTC).isoformat(timespec="microseconds"), dict(facts or {})))
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
            remedy = "Let this user write there, and look whether the disk is full:  df -h"
            raise UserError(f"cannot be written: {error.strerror}", where=str(folder), remedy=remedy) from None

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
        if (opened := self._open.pop(id, None)) is not None:
            await opened.resource.aclose()
        try:
            folder.rename(gone)  # at once and whole, whatever becomes of this process
        except FileNotFoundError:
            return False
        await asyncio.to_thread(shutil.rmtree, gone, True)
        return True

    async def aclose(self) -> None:
        await asyncio.gather(*(opened.resource.aclose() for opened in self._open.values()), *self._closing)
        self._open.clear()
        with suppress(FileNotFoundError):
            for left in self.folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(left, ignore_errors=True)


def _seen(path: str) -> tuple[int, int] | None:
    """Which file is there: writing it anew makes another."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read(folder: Path) -> About | None:
    try:
        return msgspec.json.decode((folder / _ABOUT).read_bytes(), type=About)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        remedy = "Take it from a backup, or remove the folder with all that is in it."
        raise UserError(f"cannot be read: {error}", where=str(folder / _ABOUT), remedy=remedy) from None


__all__ = ["About", "Resource", "Resources"]
