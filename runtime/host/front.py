"""What every front of a host has, whether it is the first, the only one, or follows another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runtime.host.fleet import Fleet
from runtime.host.http.hostnames import Hostnames
from runtime.host.http.proxies import TrustedProxies
from runtime.host.http.router import HostRouter
from runtime.host.worker import Worker
from runtime.limits import cpu_count
from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.limits import Limits
from runtime.supervisor.processes.parts import Stream
from runtime.supervisor.server import Supervisor
from runtime.supervisor.traces.traces import Traces


class HostOptions(msgspec.Struct, frozen=True):
    """The command line of ``pilot host``."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8788
    domain: str = "localhost"
    hostnames: tuple[str, ...] = ()  # under which its own routes answer, besides the machine's and ``domain``
    isolates: int = 0  # per version; 0: as many as there are cores, four at most
    limits: Limits = msgspec.field(default_factory=Limits)
    allow: tuple[str, ...] = ()  # networks that workers may reach besides public addresses
    drain: float = 30
    tail_port: int = 0  # 0: a free one
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    wheelhouse: Path | None = None  # a folder of wheels that dependencies come from, instead of an index
    namespaces: bool = False  # of its own for each isolate
    fronts: int = 1  # supervisors behind one port
    product_options: Mapping[str, object] = {}


class Front(Supervisor):
    """``hostnames``: which are the host's own."""

    options: HostOptions
    hostnames: Hostnames
    traces: Traces

    @property
    def drain(self) -> float:
        return self.options.drain

    def listening(self) -> dict[str, Any]:
        certificate, key = self.options.certificate, self.options.key
        tls = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
        return {**tls, "proxy_headers": False}  # uvicorn would trust every process of this machine

    def routed(self, fleet: Fleet, others: Application) -> Application:
        """Requests on their way to the workers of ``fleet``; ``others`` has those that are for none of them."""

        def dispatch(worker: Worker) -> Dispatch:
            return Dispatch(worker, self.observer, self.requests, self.tracer, public=True, worker=worker.name)

        router = HostRouter(fleet, others, self.hostnames, dispatch)
        return TrustedProxies(router, self.options.trusted_proxies) if self.options.trusted_proxies else router

    def tell(self, worker: str, stream: Stream, line: str) -> None:
        """What a worker has printed."""
        self.observer.worker_output(worker, stream, self.traces.printed(worker, stream, line))


def isolates_of(options: HostOptions) -> int:
    """Processes of each version in one front."""
    return options.isolates or max(1, min(cpu_count(), 4) // options.fronts)


__all__ = ["Front", "HostOptions", "isolates_of"]
