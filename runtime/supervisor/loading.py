"""Code that a worker has brought along, as a deployment of its own: shut in as on a host, in dev too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakSet

import msgspec
from msgspec.structs import replace

from bindings.binding import Brought
from runtime.supervisor.limits import Limits
from runtime.supervisor.outbound.blocked import Blocked
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.isolates import make_spawner
from runtime.supervisor.processes.parts import Confinement, Parts, Stream
from runtime.supervisor.processes.spawning import Spawner


class Loading:
    """``parts``: of the workers here. In dev such code has a zygote to itself: nothing of the person's environment, nor
    of a worker's packages, is in a fork of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._spawner = parts, None  # type: Parts, Spawner | None
        self._made: WeakSet[Deployment] = WeakSet()

    def __call__(self, brought: Brought) -> Deployment:
        """As of ``ProductContext.load``."""
        parts = self._parts
        limits = parts.limits or Limits()
        less = {name: min(value, getattr(limits, name)) for name, value in brought.limits.items()}
        through = brought.outbound or ""

        def printed(worker: str, stream: Stream, line: str) -> None:
            brought.printed(stream, line)
            parts.on_output(brought.label, stream, line)

        own = replace(
            parts,
            spawner=self._clean(),
            outbound=Blocked() if through or brought.outbound is None else parts.outbound,
            on_output=printed,
            isolates=1,
            confinement=parts.confinement or Confinement(brought.temp),
            limits=msgspec.structs.replace(limits, **less),
            through=through,
            debugger=None,  # it is shut in
        )
        made = Deployment(0, brought.config, brought.bindings, own)
        self._made.add(made)
        return made

    def beside(self, others: Callable[[], Iterable[Deployment]]) -> Callable[[], list[Deployment]]:
        """Those, and what lives of what was made here."""
        return lambda: [*others(), *(made for made in self._made if made.isolates)]

    async def aclose(self) -> None:
        if self._spawner is not None:
            await self._spawner.aclose()

    def _clean(self) -> Spawner:
        if self._parts.confinement is not None:
            return self._parts.spawner  # a host's is
        if self._spawner is None:
            self._spawner = make_spawner(clean=True)
        return self._spawner


__all__ = ["Loading"]
