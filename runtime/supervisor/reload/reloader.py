"""Save a file and the next request runs the new code: open the new version, swap, retire the old one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from bindings import products
from bindings.base import Binding, ProductContext, Resident
from bindings.responder import Responder
from bindings.unserved import UnservedBinding
from runtime.config import Config
from runtime.errors import ScriptError, UserError
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.parts import Parts
from runtime.supervisor.reload.watching import cancelled, changes, stamps, watched, written

Provide = Callable[[Config], Awaitable[tuple[Path, ...]]]  # folders of what a worker depends on
_SUPERSEDED_GRACE_S = 0.1  # seconds that a reload may go on when there is newer code: most are over by then


class Deployments:
    """The current deployment, and the error that keeps a newer one from taking its place."""

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config],
        context: ProductContext,
        parts: Parts,
        observer: Observer,
        changed: Callable[[Config], None],
        packages: Provide,
    ) -> None:
        self.config, self.broken = config, None  # type: Config, UserError | None
        self._read, self._context, self._parts, self._observer, self._changed = read, context, parts, observer, changed
        self._packages, self._provided = packages, None  # type: Provide, Config | None
        self._bindings: list[Binding] | None = None
        self._responders: list[Responder] = []
        self._current: Deployment | None = None
        self._version = self._attempts = 0
        self._pending: set[Path] = set()  # what has changed since the last version that could be opened
        self._opening: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._fatal: Exception | None = None
        self._retiring: dict[asyncio.Task[None], Deployment] = {}
        self._configured = asyncio.Event()

    @property
    def version(self) -> int:
        """Counts every attempt, so that what a page shows of one is known to be out of date after the next."""
        return self._attempts

    @property
    def bindings(self) -> Sequence[Binding]:
        return self._bindings or []

    @property
    def deployments(self) -> list[Deployment]:
        """What runs: the current one, and older ones that have not finished."""
        return [*self._retiring.values(), *([self._current] if self._current is not None else [])]

    @property
    def body_limit(self) -> int:
        return self.config.pilot.body_limit

    @property
    def ready(self) -> Deployment | None:
        """The one that answers, where nothing is broken."""
        return self._current if self.broken is None else None

    async def current(self, headers: Headers) -> Deployment:
        """The deployment that answers now. Raises what broke when there has not been a working one yet."""
        if not self._tried.is_set():
            await self._tried.wait()
        if self._current is None:
            raise self.broken or UserError("is not loaded", where=self.config.name, remedy="Ask again in a moment.")
        return self._current

    @property
    def at_hand(self) -> Deployment | None:
        """The same, if there is one."""
        return self._current

    async def begin(self) -> None:
        """Until the bindings of the first version are known; its script may take its time."""
        self._opening = asyncio.create_task(self._open())
        await self._configured.wait()

    async def open(self) -> None:
        """The first version, which has begun; it may be broken. Raises what is neither the script's fault nor the
        configuration's."""
        await self._tried.wait()
        if self._fatal is not None:
            raise self._fatal

    async def follow(self) -> None:
        """Reload when something of it is saved, for ever."""
        try:
            async for files in changes(lambda: self.config):
                await self.reload(files)
        except UserError as error:
            self._observer.error(str(error), self._name)

    async def reload(self, files: Iterable[Path]) -> None:
        """Begin to open new code, and a new configuration when that changed; the old version answers until then.

        One attempt at a time: a slow one that is under way, or one that would import for ever, is given up.
        """
        if self._opening is not None:
            await asyncio.wait([self._opening], timeout=_SUPERSEDED_GRACE_S)
            await cancelled(self._opening)
        self._pending |= set(files)
        self._opening = asyncio.create_task(self._open())

    async def aclose(self, drain: float = 0) -> None:
        """End every version: ``waitUntil`` tasks have ``drain`` seconds to finish."""
        if self._opening is not None:
            await cancelled(self._opening)
        if self._current is not None:
            self._retire(self._current)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=drain)
        await asyncio.gather(*map(cancelled, self._retiring))

    async def _open(self) -> None:
        """One attempt. What it was for stays pending until one succeeds."""
        began, files = time.perf_counter(), sorted(self._pending)
        await written(files)
        before = stamps(files)
        try:
            try:
                self._configure(files)
            finally:
                self._configured.set()
            await self._provide(files)
            await self._next()
        except UserError as error:
            if stamps(files) == before:  # else it is about half a save, and the other half is on its way here
                self._fail(error)
        except Exception as error:
            self._fault(error)
        else:
            self._pending.clear()
            if files:
                self._observer.reloaded(self._version, (time.perf_counter() - began) * 1000, self._named(files))
        self._tried.set()

    def _configure(self, files: Sequence[Path]) -> None:
        config = self._read() if any(path in watched(self.config) for path in files) else self.config
        if self._bindings is None or config is not self.config:
            bindings, self._responders = parse_bindings(config, self._context), make_responders(config, self._context)
            self._bindings = bindings
            for warning in config.warnings:
                if warning not in self.config.warnings:  # those are in the banner, or said already
                    self._observer.warn(warning)
            self.config = config
            self._changed(config)

    async def _provide(self, files: Sequence[Path]) -> None:
        """What it depends on, as soon as that may have changed. Raises UserError."""
        if self.config is not self._provided or self.config.main in files:
            packages = await self._packages(self.config)
            self._provided = self.config = replace(self.config, packages=packages)

    async def _next(self) -> None:
        resident = make_resident(self.config, self._context)
        deployment = Deployment(self._version + 1, self.config, self.bindings, self._parts, self._responders, resident)
        await deployment.open()
        self._version += 1
        self._attempts += 1
        old, self._current, self.broken = self._current, deployment, None
        if old is not None:
            self._retire(old)

    def _retire(self, old: Deployment) -> None:
        task = asyncio.create_task(old.retire())
        self._retiring[task] = old
        task.add_done_callback(self._retiring.pop)

    def _fail(self, error: UserError) -> None:
        self.broken = error
        self._attempts += 1
        if isinstance(error, ScriptError):
            self._observer.script_error(error, self._name)
        else:
            self._observer.error(str(error), self._name)
        if self._current is not None:
            of = f" of {self._name}" if self._name else ""
            self._observer.note(f"version {self._version}{of} keeps answering; save again when it is mended")

    @property
    def _name(self) -> str | None:
        """The worker's, where there are several."""
        return self.config.name if self._observer.several else None

    def _fault(self, error: Exception) -> None:
        """Ours. The first version's ends the supervisor; a later one must not be the last."""
        if self._tried.is_set():
            self._observer.fault(error)
        else:
            self._fatal = error

    def _named(self, files: Iterable[Path]) -> list[str]:
        root = Path.cwd() if self._observer.several else self.config.root
        return [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in files]


def parse_bindings(config: Config, context: ProductContext) -> list[Binding]:
    """Every product's bindings, in the registry's order, and those that only say that they are not served."""
    missing = [UnservedBinding(name, what) for name, what in config.unserved.items()]
    return [*(binding for product in products() for binding in product.parse(config, context)), *missing]


def make_responders(config: Config, context: ProductContext) -> list[Responder]:
    """What answers ahead of the worker, in the registry's order."""
    made = (product.responder(config, context) for product in products())
    return [responder for responder in made if responder is not None]


def make_resident(config: Config, context: ProductContext) -> Resident | None:
    """What this configuration keeps between requests."""
    made = (product.resident(config, context) for product in products())
    return next((resident for resident in made if resident is not None), None)
