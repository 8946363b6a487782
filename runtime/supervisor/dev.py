"""``pilot dev``: one worker, from a folder that is watched."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bindings import products
from bindings.base import Event, ProductContext
from runtime import VERSION
from runtime import config as configuration
from runtime.api.credentials import locally_guarded
from runtime.config import Config
from runtime.errors import UserError
from runtime.isolate.ambient import is_listed
from runtime.places import state_folder
from runtime.supervisor import server
from runtime.supervisor.explorer.feed import Feed
from runtime.supervisor.explorer.routes import Explorer, Served
from runtime.supervisor.explorer.watched import Watched
from runtime.supervisor.http.admission import OwnNames
from runtime.supervisor.http.app import App
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.observe.base import Banner, Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.health.stalls import Stalls
from runtime.supervisor.processes.isolates import InlineSpawner
from runtime.supervisor.processes.process import Parts
from runtime.supervisor.processes.residence import Residences
from runtime.supervisor.processes.spawning import Spawner
from runtime.supervisor.reload.reloader import Deployments
from runtime.supervisor.reload.restart import Restart
from runtime.supervisor.reload.watching import changes
from runtime.supervisor.server import Supervisor, address, bind
from runtime.supervisor.sockets.quota import Quotas
from runtime.supervisor.telemetry.metrics import is_private, metrics_routes
from runtime.supervisor.telemetry.tracing import make_tracer

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

_HOSTS_REMEDY = 'By an address of this machine they do at once. If the name is yours:  [pilot] hosts = ["{name}"]'


@dataclass(frozen=True)
class DevOptions:
    """The command line of ``pilot dev``; None means: as the configuration says."""

    config: Path | None = None
    environment: str | None = None
    host: str | None = None
    port: int | None = None
    drain: float | None = None
    persist_to: Path | None = None  # where state is kept; None: .pilot/state beside the configuration
    persist: bool = True  # False: in a folder that is removed at the end
    variables: dict[str, str] = field(default_factory=dict)
    product_options: Mapping[str, object] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path.cwd)  # by its name: a folder that is moved away takes the process along

    def read(self) -> Config:
        return configuration.load(self.config, environment=self.environment, variables=self.variables, cwd=self.cwd)


class DevServer(Supervisor):
    """Reads the configuration at once: what is wrong in it is said before anything runs."""

    def __init__(self, options: DevOptions, observer: Observer, spawner: Spawner | None) -> None:
        config, self._feed = options.read(), Feed()
        observer = Watched(observer, self._feed)
        host = options.host or config.dev.ip or "127.0.0.1"
        port = next(port for port in (options.port, config.dev.port, 8787) if port is not None)
        sock = bind(host, port)
        self.url = address("http", host, sock)
        pilot = config.pilot
        self._forgotten = None if options.persist else _temporary()
        state = Path(self._forgotten.name) if self._forgotten else state_folder(config.root, options.persist_to)
        context = ProductContext(
            config.root,
            state,
            False,
            observer,
            url=self.url,
            options=options.product_options,
            config=config,
            dispatch=self._handle,
            reside=Residences(self._current),
        )
        spawner = spawner or InlineSpawner(config.root)
        tracer = make_tracer(config.name, pilot.otlp, observer.warn)
        super().__init__(sock, context, spawner, observer, tracer)
        parts = Parts(spawner, self.outbound, observer.worker_output, self._importing, self._ended, Quotas(self._ended))
        self._announced, self._flag = False, options.drain
        flags = {name for name, flag in (("dev.ip", options.host), ("dev.port", options.port)) if flag is not None}
        restart = Restart(config, flags, observer.warn)
        self._deployments = Deployments(config, options.read, context, parts, observer, restart.look)

    @property
    def drain(self) -> float:
        return self._deployments.config.pilot.drain if self._flag is None else self._flag

    def application(self) -> App:
        routes = [*metrics_routes(self.context, products(), self.requests)]
        explorer = Explorer(self.context, products(), self._feed, self._served)
        guarded = explorer.routes() if is_private(self.context) else []
        guarded += [route for product in products() for route in product.routes(self.context)]
        routes += map(locally_guarded, guarded)
        dispatch = Dispatch(self._deployments, self.observer, self.requests, self.tracer)
        names = OwnNames(lambda: {name.lower() for name in self._deployments.config.pilot.hosts}, _HOSTS_REMEDY)
        return App(dispatch, routes, lambda: self._deployments.body_limit, names)

    def _served(self) -> list[Served]:
        return [(self._deployments.config, self._deployments.bindings)]

    async def open(self) -> None:
        await self._deployments.begin()
        self._banner()
        await self._deployments.open()

    def announce(self) -> None:
        self._announced = True
        self.observer.ready(self.url)
        if self._deployments.broken is not None:
            self.observer.warn("every request answers 500 until the error above is mended and saved")

    def _banner(self) -> None:
        config = self._deployments.config
        bindings = [binding for binding in self._deployments.bindings if is_listed(binding.name)]
        rows = [(binding.name, *binding.describe()) for binding in bindings]
        remarks = [remark for product in products() for remark in product.remarks(self.context)]
        banner = Banner(
            version=VERSION, url=self.url, name=config.name,
            config_path=_near(config.path or config.main or config.root), bindings=rows, remarks=remarks,
            warnings=config.warnings,
        )  # fmt: skip
        self.observer.banner(banner)

    def _importing(self, name: str, script: str, seconds: float, what: str) -> None:
        self.observer.importing(name, script, seconds, what, None if self._announced else self.url)

    async def _handle(self, worker: str, event: Event) -> object:
        return await (await self._current(worker)).handle(event)

    async def _current(self, worker: str) -> Deployment:
        if worker != (name := self._deployments.config.name):
            raise UserError(f"there is no such worker here, but {name}", where=worker)
        return await self._deployments.current([])

    def _ended(self, name: str, why: str) -> None:
        self.observer.error(why, name)

    def background(self) -> list[Coroutine[Any, Any, None]]:
        return [self._follow(), Stalls(self.observer, lambda: self._deployments.deployments).watch()]

    async def close(self, left: float) -> None:
        await self._deployments.aclose(left)

    async def run(self) -> int:
        with self._forgotten or nullcontext():
            return await super().run()

    async def _follow(self) -> None:
        async for files in changes(lambda: self._deployments.config):
            await self._deployments.reload(files)


def _temporary() -> TemporaryDirectory[str]:
    from tempfile import TemporaryDirectory  # hardly anybody's start

    return TemporaryDirectory(prefix="pilot-state-")


def _near(path: Path) -> str:
    """A path as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def dev(options: DevOptions, observer: Observer, spawner: Spawner | None) -> None:
    """Blocks until stopped. Without a spawner the worker runs in this process. Raises ``UserError`` when it cannot
    start."""
    server.run(DevServer(options, observer, spawner))
