"""``env.AE``, both halves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bindings.base import CallError
from bindings.client import BindingClient

if TYPE_CHECKING:  # not needed in an isolate
    from bindings.analytics_engine.store import Dataset


class AnalyticsEngineBinding:
    """The host's half. A point that the service would drop is dropped, and the first one is told of."""

    client = "bindings.analytics_engine.binding:AnalyticsEngineDataset"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, dataset: Dataset, warn: Callable[[str], None]) -> None:
        self.name, self._dataset, self._warn = name, dataset, warn
        self._warned = False

    def describe(self) -> tuple[str, str]:
        return "Analytics Engine", self._dataset.about.name

    async def call(self, method: str, args: Sequence[Any]) -> object:
        from bindings.analytics_engine.points import parse_point

        if method != "writeDataPoint":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        try:
            point = parse_point(args[0] if args else None)
        except ValueError as error:
            if not self._warned:
                self._warned = True
                self._warn(f"env.{self.name}.writeDataPoint: a point {error}, and is dropped; others like it silently")
            return None
        await self._dataset.write([point])
        return None


class AnalyticsEngineDataset(BindingClient):
    """The worker's half."""

    product = "AnalyticsEngineDataset"

    def writeDataPoint(self, *args: object, **options: object) -> None:
        """``writeDataPoint(blobs=[...], doubles=[...], indexes=["one"])``; at once, as upstream; kept soon after."""
        sending = self.__dict__.setdefault("_sending", set())
        task = asyncio.ensure_future(self._call("writeDataPoint", args, options))
        sending.add(task)  # or it might be collected before it is sent
        task.add_done_callback(sending.discard)
        task.add_done_callback(_forgive)


def _forgive(done: asyncio.Task[Any]) -> None:
    """A full disk is no error of the worker's."""
    if not done.cancelled():
        done.exception()


__all__ = ["AnalyticsEngineBinding", "AnalyticsEngineDataset"]
