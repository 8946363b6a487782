"""``pilot dev``: a worker, or several, from folders that are watched."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bindings import products
from bindings.base import Event, ProductContext, Route
from runtime import VERSION
from runtime import config as configuration
from runtime.api.credentials import locally_guarded
from runtime.config import Config
from runtime.errors import UserError
from runtime.isolate.ambient import is_listed
from runtime.places import state_folder
from runtime.supervisor import server, under_test
from runtime.supervisor.calls.traced import TracedReach, delivered
from runtime.supervisor.debugging.debugger import Debugger, patient
from runtime.supervisor.explorer.feed import Feed
from runtime.supervisor.explorer.recorder import KEPT, Recorder
from runtime.supervisor.explorer.routes import ROOT, Explorer, Served
from runtime.supervisor.explorer.watched import Watched
from runtime.supervisor.http import prefix
from runtime.supervisor.http.admission import OwnNames
from runtime.supervisor.http.app import App
from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.http.prefix import WORKER_PREFIX
from runtime.supervisor.keys.keyboard import Keyboard
from runtime.supervisor.loading import Loading
from runtime.supervisor.observe.base import Banner, Observer
from runtime.supervisor.processes.health.stalls import Stalls
from runtime.supervisor.processes.isolates import InlineSpawner
from runtime.supervisor.processes.parts import Parts, Stream
from runtime.supervisor.processes.residence import Residences
from runtime.supervisor.processes.sockets import SocketTables
from runtime.supervisor.processes.spawning import Spawner
from runtime.supervisor.reload.packages import Packages
from runtime.supervisor.reload.reloader import Deployments
from runtime.supervisor.reload.restart import Restart
from runtime.supervisor.reload.workers import Workers
from runtime.supervisor.server import Supervisor, address, bind
from runtime.supervisor.telemetry.metrics import is_private, metrics_routes
from runtime.supervisor.telemetry.tracing import make_tracer
from runtime.supervisor.traces.traces import Traces
from runtime.supervisor.traces.versions import TracedVersions
from runtime.wire import Channel

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

_HOSTS_REMEDY = 'By an address of this machine they do at once. If the name is yours:  [pilot] hosts = ["{name}"]'


class DevOptions(msgspec.Struct, frozen=True):
    """The command line of ``pilot dev``; None means: as the configuration says."""

    configs: tuple[Path, ...] = ()  # of several workers; none: the nearest one
    environment: str | None = None
    host: str | None = None
    port: int | None = None
    drain: float | None = None
    persist_to: Path | None = None  # where state is kept; None: .pilot/state beside the configuration
    install: bool = True  # False: what this interpreter has is all there is
    persist: bool = True  # False: in a folder that is removed at the end
    variables: dict[str, str] = {}
    product_options: Mapping[str, object] = {}
    keys: bool = False  # keys of the terminal do things
    open: bool = False  # show the page in a browser
    debug: int | None = None  # a port for debuggers
    cwd: Path = msgspec.field(
        default_factory=Path.cwd
    )  # by its name: a folder that is moved away takes the process along

    def readers(self) -> list[Callable[[], Config]]:
        """What reads each worker's configuration; variables are the first one's."""
        paths: Sequence[Path | None] = self.configs or (None,)
        return [partial(self._read, path, self.variables if number == 0 else {}) for number, path in enumerate(paths)]

    def _read(self, path: Path | None, variables: Mapping[str, str]) -> Config:
        config = configuration.load(path, environment=self.environment, variables=variables, cwd=self.cwd)
        return config if self.debug is None else patient(config)


class DevServer(Supervisor):
    """Reads the configuration at once: what is wrong in it is said before anything runs."""

    def __init__(self, options: DevOptions, observer: Observer, spawner: Spawner | None) -> None:
        readers, self._feed, self._spans = options.readers(), Feed(), Feed(KEPT)
        configs = [read() for read in readers]
        config = configs[0]
        _check_names(configs)
        if spawner is None and len(configs) > 1:
            raise UserError("has room for one worker in its process", where="--inline", remedy="Name one -c.")
        observer.several = len(configs) > 1
        observer = Watched(observer, self._feed, self._spans)
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
            reside=(
                residences := Residences(
                    lambda worker: self._workers.current(worker), lambda worker: self._workers.at_hand(worker)
                )
            ),
        )
        spawner = spawner or InlineSpawner(config.root)
        tracer = Recorder(make_tracer(config.name, pilot.otlp, observer.warn), self._spans)
        super().__init__(sock, context, spawner, observer, tracer)
        self._traces = Traces(context.readers, tracer)
        context.trace = self._traces.event
        self._debugger = Debugger(options.debug, self._isolates) if options.debug is not None else None
        parts = Parts(
            spawner,
            self.outbound,
            self._tell,
            self._importing,
            self._ended,
            SocketTables(delivered(self._traces, residences), self._ended),
            reach=TracedReach(
                self._traces, lambda worker: self._workers.reach(worker), lambda worker: self._workers.at_hand(worker)
            ),
            lasting=TracedReach(self._traces, residences.find, residences.at_hand),
            debugger=self._debugger,
        )
        self._loading = context.load = Loading(parts)
        self._announced, self._flag = False, options.drain
        flags = {name for name, flag in (("dev.ip", options.host), ("dev.port", options.port)) if flag is not None}
        restart = Restart(config, flags, observer.warn)
        looks = [restart.look, *(_nothing for _ in configs[1:])]  # what is read at start is the first one's
        self._packages = Packages(observer, install=options.install)
        self._workers = Workers([
            Deployments(config, read, context, parts, observer, look, self._packages)
            for config, read, look in zip(configs, readers, looks, strict=True)
        ])  # fmt: skip
        self._deployments = self._workers.first
        reached = f"{self.url}{ROOT}" if is_private(context) else None
        self._keyboard = Keyboard(_here(self.url), reached, self._workers.reload, observer)
        self._keys, self._open_page = options.keys and self._keyboard.is_there, options.open

    @property
    def drain(self) -> float:
        return self._deployments.config.pilot.drain if self._flag is None else self._flag

    def application(self) -> Application:
        dispatches: dict[Deployments | None, Dispatch] = {each: self._dispatch(each) for each in self._workers}
        dispatch = dispatches[self._deployments]
        names = OwnNames(lambda: {name.lower() for name in self._deployments.config.pilot.hosts}, _HOSTS_REMEDY)
        paths = [ROOT.rstrip("/"), *(path for product in products() for path in product.paths)]
        app = App(dispatch, paths, self._routes, lambda: self._deployments.body_limit, names)
        by_name = prefix.ByName(app, lambda name: dispatches.get(self._workers.find(name)))
        return by_name if self.observer.several else app

    def _routes(self) -> list[Route]:
        routes = [*metrics_routes(self.context, products(), self.requests)]
        explorer = Explorer(self.context, products(), self._feed, self._spans, self._served)
        guarded = explorer.routes() if is_private(self.context) else []
        guarded += [route for product in products() for route in product.routes(self.context)]
        guarded += under_test.routes(lambda: self._deployments.bindings)
        return [*routes, *map(locally_guarded, guarded)]

    def _dispatch(self, worker: Deployments) -> Dispatch:
        if not self.observer.several:
            return Dispatch(worker, self.observer, self.requests, self.tracer)
        name = worker.config.name
        versions = TracedVersions(name, worker, self._traces)
        return Dispatch(versions, self.observer, self.requests, self.tracer, worker=name)

    async def _handle(self, worker: str, event: Event) -> object:
        return await self._traces.event(worker, event.about, self._workers.handle(worker, event))

    def _tell(self, worker: str, stream: Stream, line: str) -> None:
        self.observer.worker_output(worker, stream, self._traces.printed(worker, stream, line))

    def _served(self) -> list[Served]:
        return [(worker.config, worker.bindings) for worker in self._workers]

    def _isolates(self) -> list[Channel]:
        """To the processes that run."""
        slots = [slot for deployment in self._workers.deployments() for slot in deployment.watched]
        return [slot.process.channel for slot in slots if slot.process is not None]

    async def open(self) -> None:
        await self._workers.begin()
        self._banner()
        await self._workers.open()

    def announce(self) -> None:
        self._announced = True
        self.observer.ready(self.url, keys=self._keys)
        if self._debugger is not None:
            self.observer.note(f"a debugger can attach to 127.0.0.1:{self._debugger.port}; no request times out")
        if self._open_page:
            self._keyboard.open_page()
        if self._deployments.broken is not None:
            self.observer.warn("every request answers 500 until the error above is mended and saved")

    def _banner(self) -> None:
        remarks = [remark for product in products() for remark in product.remarks(self.context)]
        own, *others = map(self._about, self._workers)
        self.observer.banner(msgspec.structs.replace(own, url=self.url, remarks=remarks, others=others))

    def _about(self, worker: Deployments) -> Banner:
        config = worker.config
        bindings = [binding for binding in worker.bindings if is_listed(binding.name)]
        return Banner(
            version=VERSION, url=f"{self.url}{WORKER_PREFIX}{config.name}/", name=config.name,
            config_path=_near(config.path or config.main or config.root),
            bindings=[(binding.name, *binding.describe()) for binding in bindings], warnings=config.warnings,
        )  # fmt: skip

    def _importing(self, name: str, script: str, seconds: float, what: str) -> None:
        self.observer.importing(name, script, seconds, what, None if self._announced else self.url)

    def _ended(self, name: str, why: str) -> None:
        self.observer.error(why, name)

    def background(self) -> list[Coroutine[Any, Any, None]]:
        running = self._loading.beside(self._workers.deployments)
        keys = [self._keyboard.listen()] if self._keys else []
        stalls = [] if self._debugger else [Stalls(self.observer, running).watch()]
        return [self._workers.follow(), *stalls, *keys]

    def leave(self) -> None:
        self._keyboard.restore()

    async def close(self, left: float) -> None:
        await self._workers.aclose(left)
        await self._packages.aclose()
        await self._loading.aclose()

    async def run(self) -> int:
        with self._forgotten or nullcontext():
            async with self._debugger or nullcontext():
                return await super().run()


def _check_names(configs: Sequence[Config]) -> None:
    """Raises UserError: two are called the same, and could not be told apart."""
    known: dict[str, Config] = {}
    for config in configs:
        if (other := known.setdefault(config.name, config)) is not config:
            what = f"is called {config.name!r}, as is the worker of {_near(other.path or other.root)}"
            raise UserError(what, where=_near(config.path or config.root), remedy='Write:  name = "another"')


def _nothing(_: Config) -> None:
    """Nobody waits for it."""


def _temporary() -> TemporaryDirectory[str]:
    from tempfile import TemporaryDirectory  # hardly anybody's start

    return TemporaryDirectory(prefix="pilot-state-")


def _here(url: str) -> str:
    """The same, as a browser on this machine can open it: nothing is at "every address"."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _near(path: Path) -> str:
    """A path as a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def dev(options: DevOptions, observer: Observer, spawner: Spawner | None) -> None:
    """Blocks until stopped. Without a spawner the worker runs in this process. Raises ``UserError`` when it cannot
    start."""
    server.run(DevServer(options, observer, spawner))
